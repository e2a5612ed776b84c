"""A token bucket shaper against the formula of a greedy shaper, which needs to know no state."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import Bottleneck, CoDel, DropTail, Impairments, TokenBucket
from tests.counting import counted

SECOND = 10**9
ENDLESS = 1 << 40

buckets = st.builds(
    lambda bps, burst, times: TokenBucket(bps=bps, burst_bytes=burst, peak_bps=bps * times + (times > 0)),
    *(st.integers(10**5, 10**9), st.integers(1, 100_000), st.sampled_from([0, 1, 3, 40])),
)
arrivals = st.lists(st.tuples(st.integers(0, 10**7) | st.just(0), st.integers(60, 9014)), min_size=1, max_size=60)


def link_of(bucket, *, overhead=0, queue_bytes=ENDLESS, discipline=None):
    bottleneck = Bottleneck(
        rate=bucket, queue_bytes=queue_bytes, overhead_bytes=overhead, discipline=discipline or DropTail()
    )
    return LinkEmulator(Impairments(bottleneck=bottleneck), 1, 0)


def sent(link, until=1 << 62):
    """When frames leave, and their numbers."""
    out = []
    while (wakeup := link.next_wakeup()) is not None and wakeup <= until:
        out += [(wakeup, int.from_bytes(packet[:4], "big")) for packet in link.release(wakeup, 1)]
    return out


def frame(number, size):
    return number.to_bytes(4, "big") + bytes(size - 4)


def needed_ns(bucket, bits):
    """The least time in which so much can be sent: the inverse of min(peak t, burst + rate t)."""
    at_peak = Fraction(bits * SECOND, bucket.peak_bps) if bucket.peak_bps else 0
    return max(at_peak, Fraction((bits - 8 * bucket.burst_bytes) * SECOND, bucket.bps), 0)


@given(buckets, arrivals, st.integers(0, 40), st.booleans())
def test_each_frame_leaves_as_soon_as_burst_rate_and_peak_allow_it(bucket, arrivals, overhead, at_once):
    link = link_of(bucket, overhead=overhead)
    came: list[tuple[int, int]] = []
    out: list[tuple[int, int]] = []
    now = 0
    for number, (wait, size) in enumerate(arrivals):
        out += [] if at_once else sent(link, now + wait // 2)
        now += wait
        link.accept([frame(number, size)], now)
        came.append((now, 8 * (size + overhead)))
    out += sent(link)
    assert [number for _, number in out] == list(range(len(came)))
    for number, (time, _) in enumerate(out):
        bits, exact = 0, Fraction(0)
        for arrived, size in reversed(came[: number + 1]):
            bits += size
            exact = max(exact, arrived + needed_ns(bucket, bits))
        assert -1 <= time - exact <= 1


@given(buckets, arrivals, st.integers(0, 10**7))
def test_a_change_keeps_what_is_being_sent_and_what_waits(bucket, arrivals, after):
    link = link_of(bucket)
    for number, (_, size) in enumerate(arrivals):
        link.accept([frame(number, size)], 0)
    before = sent(link, after)
    link.replace(Impairments(bottleneck=Bottleneck(rate=bucket, queue_bytes=1)), after)
    assert [number for _, number in before + sent(link)] == list(range(len(arrivals)))


@given(buckets, arrivals, st.integers(60, 50_000), st.sampled_from([DropTail(), CoDel()]))
def test_what_its_queue_does_not_hold_is_counted(bucket, arrivals, queue_bytes, discipline):
    link = link_of(bucket, queue_bytes=queue_bytes, discipline=discipline)
    now = 0
    for number, (wait, size) in enumerate(arrivals):
        now += wait
        link.accept([frame(number, size)], now)
    out = sent(link)
    stats = counted(link.stats())
    assert stats.packets_in - stats.queue_drops - stats.early_drops == stats.packets_out == len(out)
    assert stats.in_flight == 0
