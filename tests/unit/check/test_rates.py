import random
from dataclasses import replace

import pytest

from testbed.check import AS_REQUESTED, capacity
from testbed.check.queues import judge_queue
from testbed.check.rates import Train, conclude, judge_rate
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    Corruption,
    FixedRate,
    Impairments,
    Opportunities,
    RandomEvent,
    RateSteps,
    Times,
)

MS = 1_000_000
SECOND = 10**9
FRAME = 1514
LEVEL = 0.0001


def crossed(
    rate_bps,
    *,
    pressure=1.25,
    asked_bps=None,
    count=500,
    queue_bytes=10**9,
    delay_ns=10 * MS,
    late_ns=100_000,
    hiccups=0,
    frame_bytes=FRAME,
    bucket_bytes=0,
):
    """A train over a droptail queue and a transmitter, seen by a machine that is a little late.

    `bucket_bytes` pass at once when the transmitter was idle.
    """
    rng = random.Random(1)
    sent_ns, sequence, received_ns = [], [], []
    step_ns = 8 * frame_bytes * SECOND / (asked_bps or rate_bps) / pressure
    free_ns, shift_ns = 0.0, 0
    last_ns = 0
    for number in range(count):
        if hiccups and number % (count // hiccups) == count // hiccups - 1:
            shift_ns += 20 * MS
        at_ns = round(number * step_ns + shift_ns)
        sent_ns.append(at_ns)
        came_ns = at_ns + delay_ns
        free_ns = max(free_ns, came_ns - 8 * bucket_bytes * SECOND / rate_bps)
        if (free_ns - came_ns) * rate_bps / (8 * SECOND) > queue_bytes:
            continue
        free_ns += 8 * frame_bytes * SECOND / rate_bps
        last_ns = max(last_ns, round(max(free_ns, came_ns) + rng.expovariate(1 / late_ns)))
        sequence.append(number)
        received_ns.append(last_ns)
    return Train(frame_bytes=frame_bytes, sent_ns=sent_ns, sequence=sequence, received_ns=received_ns)


def judged(asked, train):
    return judge_rate(asked, train, level=LEVEL)


def impairments(rate_bps, queue_bytes=10**6, **more):
    bottleneck = Bottleneck(rate=FixedRate(bps=rate_bps), queue_bytes=queue_bytes)
    return Impairments(delay_ns=10 * MS, bottleneck=bottleneck, **more)


@pytest.mark.parametrize("rate_bps", [10**6, 20 * 10**6, 5 * 10**8])
@pytest.mark.parametrize("queue_bytes", [10**9, 15_000])
def test_a_rate_as_requested_passes_whatever_the_queue_drops(rate_bps, queue_bytes):
    found = judged(impairments(rate_bps), crossed(rate_bps, queue_bytes=queue_bytes))
    assert found.verdict == AS_REQUESTED
    assert found.measured == pytest.approx(rate_bps, rel=0.01)
    assert found.interval[0] <= found.measured <= found.interval[1]


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, "too low"), (1.1, "too high"), (3, "too high")])
def test_another_rate_fails(factor, verdict):
    found = judged(impairments(10**7), crossed(round(factor * 10**7), asked_bps=10**7))
    assert (found.verdict, found.passed) == (verdict, False)


def test_a_pause_of_the_machine_does_not_lower_the_rate():
    train = crossed(10**8, hiccups=4)
    assert len(train.busy(impairments(10**8))) < len(train.received_ns)
    assert judged(impairments(10**8), train).measured == pytest.approx(10**8, rel=0.01)


def test_a_machine_that_cannot_fill_the_link_says_so():
    found = judged(impairments(10**10), crossed(10**10, pressure=0.1))
    assert found.passed
    assert found.measured is None
    assert found.verdict == "not measured: this machine's prober reaches 953 mbit/s"


def test_a_link_that_was_not_busy_proves_nothing():
    whole = crossed(10**7, count=40)
    train = replace(whole, sequence=whole.sequence[::4], received_ns=whole.received_ns[::4])
    found = judged(impairments(10**7), train)
    assert found.passed
    assert found.verdict == "not measured: this machine's prober reaches 2.49 mbit/s"


def test_corrupted_frames_take_their_time_too():
    train = crossed(10**7, count=2000)
    kept = [place for place in range(2000) if place % 10]
    seen = Train(
        frame_bytes=FRAME,
        sent_ns=train.sent_ns,
        sequence=[train.sequence[place] for place in kept],
        received_ns=[train.received_ns[place] for place in kept],
    )
    corrupting = impairments(10**7, corruption=Corruption(event=RandomEvent(probability=CERTAIN // 10)))
    assert judged(corrupting, seen).verdict == AS_REQUESTED
    assert judged(impairments(10**7), seen).verdict == "too low"


@pytest.mark.parametrize(
    ("depth", "verdict"),
    [(100_000, AS_REQUESTED), (80_000, "too shallow"), (150_000, "too deep"), (10**9, "too deep: nothing was dropped")],
)
def test_the_depth_of_a_queue(depth, verdict):
    asked = impairments(10**7, queue_bytes=100_000)
    found = judge_queue(asked, crossed(10**7, pressure=2, queue_bytes=depth), base_ns=10 * MS)
    assert found.verdict == verdict
    if depth < 10**9:
        assert found.measured == pytest.approx(depth, abs=3 * FRAME)


def test_a_queue_that_the_machine_cannot_fill_is_not_judged():
    found = judge_queue(impairments(10**7, queue_bytes=100_000), crossed(10**7, pressure=0.5), base_ns=10 * MS)
    assert found.passed
    assert found.measured is None


@pytest.mark.parametrize("rate_bps", [10**6, 10**8, 4 * 10**8, 10**9, 3 * 10**9, 10**10])
@pytest.mark.parametrize("frames_per_s", [20_000, 40_000, 10**6])
def test_a_machine_of_any_speed_never_finds_a_right_rate_wrong(rate_bps, frames_per_s):
    """The machine reads datagrams one by one, so fast and no faster, and hesitates for 5 ms now and then."""
    rng = random.Random(rate_bps + frames_per_s)
    found = []
    for halved in (False, True):
        frames = 2 if halved else 1
        train = crossed(rate_bps, count=min(rate_bps // 10**5 + 100, 6000), frame_bytes=FRAME // frames)
        free_ns, read_ns = 0, []
        for at_ns in train.received_ns:
            free_ns = max(free_ns, at_ns) + SECOND // frames_per_s + 5 * MS * (rng.random() < 0.001)
            read_ns.append(free_ns)
        found.append(judged(impairments(rate_bps), replace(train, received_ns=read_ns)))
    full, smaller = found
    assert full.verdict != "too high"
    concluded = conclude([full, full], smaller)
    assert concluded.passed
    if concluded.measured is not None:
        assert concluded.measured == pytest.approx(rate_bps, rel=0.021)


@pytest.mark.parametrize("rate_bps", [10**6, 10**7, 10**8, 10**9])
def test_a_saved_token_bucket_does_not_make_a_rate_too_high(rate_bps):
    """As netem's engine has it: the bucket of tbf holds a frame and what it gains in 1 ms; frames leave at once."""
    tx_ns, step_ns = 8 * FRAME * SECOND / rate_bps, 8 * FRAME * SECOND / rate_bps / 1.25
    due_ns, sent_ns, received_ns = 0.0, [], []
    for number in range(500):
        sent_ns.append(round(number * step_ns))
        due_ns = max(due_ns, sent_ns[-1])
        received_ns.append(round(max(sent_ns[-1], due_ns - MS)) + 10 * MS + 20_000)
        due_ns += tx_ns
    train = Train(frame_bytes=FRAME, sent_ns=sent_ns, sequence=range(500), received_ns=received_ns)
    assert judged(impairments(rate_bps), train).verdict != "too high"


def low(rate_bps):
    return judged(impairments(10**8), crossed(rate_bps, asked_bps=10**8))


def test_a_rate_too_low_for_datagrams_of_both_sizes_fails_the_link():
    assert low(8 * 10**7).verdict == "too low"
    assert conclude([low(8 * 10**7)] * 2, low(8 * 10**7)).verdict == "too low"
    for smaller in (4 * 10**7, 9 * 10**7):  # so many packets a second, or whatever the machine had time for
        found = conclude([low(8 * 10**7)] * 2, low(smaller))
        assert (found.passed, found.measured) == (True, None)
        assert "prober reaches" in found.verdict


def test_one_train_that_shows_the_rate_is_enough():
    assert conclude([low(8 * 10**7), judged(impairments(10**8), crossed(10**8))], None).verdict == AS_REQUESTED


EVERY_OTHER = RateSteps(starts_ns=(0, 100 * MS), rates_bps=(2 * 10**7, 0), period_ns=200 * MS)
TICKS = Opportunities(times_ns=Times((0, 0, 5 * MS, 9 * MS)), frame_bytes=FRAME, period_ns=10 * MS)


@pytest.mark.parametrize(("rate_bps", "verdict"), [(10**7, AS_REQUESTED), (1.2 * 10**7, "too high")])
def test_after_its_first_half_a_train_has_emptied_a_token_bucket(rate_bps, verdict):
    asked = Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**7), queue_bytes=10**6))
    bucket_bytes = 50 * 10**7 // 8 // 1000  # 50 ms of the rate
    usual = crossed(round(rate_bps), asked_bps=10**7, count=103, bucket_bytes=bucket_bytes)
    assert judged(asked, usual).verdict != AS_REQUESTED
    longer = crossed(round(rate_bps), asked_bps=10**7, count=412, bucket_bytes=bucket_bytes)
    assert judged(asked, longer.settled()).verdict == verdict


def test_the_capacity_of_a_trace():
    assert capacity.mean_bps(EVERY_OTHER) == 10**7
    assert capacity.mean_bps(TICKS) == 8 * 4 * FRAME * 100
    assert capacity.peak_bps(EVERY_OTHER, 100 * MS) == pytest.approx(2 * 10**7)
    assert capacity.peak_bps(EVERY_OTHER, 150 * MS) == pytest.approx(2 * 10**7 * 2 / 3)
    assert capacity.peak_bps(TICKS, 2 * MS) == pytest.approx(3 * 8 * FRAME * 500)  # at 9 ms, and at 10 ms twice


@pytest.mark.parametrize(
    ("rate_bps", "verdict"), [(10**7, AS_REQUESTED), (1.5 * 10**7, "too high"), (5 * 10**6, "too low")]
)
def test_the_rate_of_a_trace_is_the_mean(rate_bps, verdict):
    train = crossed(round(rate_bps), count=2000)
    found = judged(Impairments(bottleneck=Bottleneck(rate=EVERY_OTHER, queue_bytes=10**5)), train)
    assert found.verdict == verdict
    assert found.asked == 10**7
    low, high = found.asked_range  # what is judged: the rate within a window as long as the train
    assert (low <= found.measured * 1.02 and found.measured <= high * 1.02) == (verdict == AS_REQUESTED)
