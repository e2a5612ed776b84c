import pytest

from testbed.engines.userspace.queueing.transmitters import transmitter
from testbed.impairments import (
    Bottleneck,
    FixedRate,
    Opportunities,
    RateSteps,
    Times,
)

MS = 10**6


def sent(bottleneck, frames, applied=0):
    """When each of the frames, that all are there at `applied`, is sent."""
    sender, free, times = transmitter(bottleneck, applied), applied, []
    for size in frames:
        free = sender.ends(sender.starts(free), size)
        times.append(free)
    return times


def test_fractions_of_a_nanosecond_are_not_lost():
    bottleneck = Bottleneck(rate=FixedRate(bps=3), queue_bytes=1)
    assert sent(bottleneck, [4, 4, 4]) == [10_666_666_666, 21_333_333_333, 32_000_000_000]


def test_overhead_takes_time_too():
    bottleneck = Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=1, overhead_bytes=24)
    assert sent(bottleneck, [976, 976]) == [MS, 2 * MS]


def test_a_rate_change_applies_to_the_frame_being_sent():
    steps = RateSteps(starts_ns=(0, 2 * MS), rates_bps=(8_000_000, 16_000_000), period_ns=3 * MS)
    bottleneck = Bottleneck(rate=steps, queue_bytes=1)
    assert sent(bottleneck, [1500, 1500, 1500]) == [1_500_000, 2_500_000, 3_500_000]
    assert sent(bottleneck, [1500, 1500, 1500], applied=7) == [1_500_007, 2_500_007, 3_500_007]


def test_a_pause_is_waited_for_and_interrupts():
    steps = RateSteps(starts_ns=(0, MS), rates_bps=(0, 8_000_000), period_ns=2 * MS)
    bottleneck = Bottleneck(rate=steps, queue_bytes=1)
    assert sent(bottleneck, [500, 1000]) == [1_500_000, 3_500_000]
    assert transmitter(bottleneck, 0).starts(10) == MS


@pytest.mark.parametrize(
    ("sizes", "times"),
    [
        ([1500, 1500, 1500], [1, 5, 5]),
        ([1500] * 5, [1, 5, 5, 11, 15]),
        ([500] * 4, [1, 1, 1, 5]),
        ([1000, 1000], [1, 5]),
        ([4000], [5]),
    ],
)
def test_opportunities_are_shared_by_small_frames_and_repeat(sizes, times):
    trace = Opportunities(times_ns=Times((MS, 5 * MS, 5 * MS)), frame_bytes=1500, period_ns=10 * MS)
    assert sent(Bottleneck(rate=trace, queue_bytes=1), sizes) == [ms * MS for ms in times]


def test_an_unused_opportunity_is_lost():
    trace = Opportunities(times_ns=Times((MS, 5 * MS, 10 * MS)), frame_bytes=1500, period_ns=10 * MS)
    sender = transmitter(Bottleneck(rate=trace, queue_bytes=1), 0)
    assert [sender.starts(ms * MS) // MS for ms in (0, 1, 2, 5, 6, 10, 11, 20, 21, 35, 36)] == [
        1, 1, 5, 5, 10, 10, 11, 20, 21, 35, 40,
    ]  # fmt: skip
