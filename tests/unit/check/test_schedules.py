import pytest

from testbed.check import DEEP, QUICK, capacity, expected, schedules
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    DropHead,
    FixedRate,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    RateSteps,
    Times,
)

MS = 1_000_000
MTU = 1500
BURSTS = GilbertElliott(to_bad=CERTAIN // 10, to_good=CERTAIN // 10)


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(delay_ns=20 * MS),
        Impairments(delay_ns=20 * MS, jitter=Jitter(ns=10 * MS)),
        Impairments(delay_ns=40 * MS, jitter=Jitter(ns=10 * MS, distribution="normal")),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=64_000), queue_bytes=1500)),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**9), queue_bytes=1500)),
        Impairments(loss=IndependentLoss(probability=CERTAIN * 9 // 10)),
        Impairments(loss=BURSTS),
    ],
)
def test_spaced_probes_are_slow_and_enough(impairments):
    spaced = schedules.spaced_probes(impairments, QUICK.probes_ns)
    interval_ns = 8 * spaced.frame_bytes * 10**9 / spaced.rate_bps
    assert interval_ns >= max(2 * impairments.jitter_ns, 2 * MS)
    if impairments.bottleneck:
        assert spaced.rate_bps <= impairments.bottleneck.rate.mean_bps / 10
    assert spaced.count * (1 - expected.of(impairments).loss.rate) >= 59


def test_correlated_delays_take_more_probes():
    impairments = Impairments(delay_ns=90 * MS, jitter=Jitter(ns=30 * MS, correlation=CERTAIN // 2))
    plain = Impairments(delay_ns=90 * MS, jitter=Jitter(ns=30 * MS))
    assert schedules.spaced_probes(impairments, 10**9).count > 3 * schedules.spaced_probes(plain, 10**9).count


def test_dense_probes_are_added_where_spaced_ones_are_few():
    assert schedules.dense_probes(Impairments(delay_ns=20 * MS), QUICK.probes_ns) is None
    dense = schedules.dense_probes(Impairments(delay_ns=50 * MS, jitter=Jitter(ns=20 * MS)), QUICK.probes_ns)
    assert dense is not None
    assert dense.count == 450


@pytest.mark.parametrize("rate_bps", [10**4, 10**5, 10**6, 10**8, 5 * 10**8])
@pytest.mark.parametrize("loss", [0, CERTAIN // 2])
def test_a_train_exceeds_the_rate_of_the_link(rate_bps, loss):
    impairments = Impairments(
        bottleneck=Bottleneck(rate=FixedRate(bps=rate_bps), queue_bytes=50_000),
        loss=IndependentLoss(probability=loss) if loss else None,
    )
    train = schedules.busy(impairments, MTU, QUICK.train_ns)
    assert train.rate_bps * (1 - loss / CERTAIN) == pytest.approx(1.25 * rate_bps, rel=1e-3)
    assert 54 <= train.frame_bytes <= 1514
    assert train.count * (1 - loss / CERTAIN) >= 29
    assert 8 * train.count * train.frame_bytes / train.rate_bps < 2


def test_a_train_for_a_trace_takes_its_frames_and_its_peak():
    trace = Opportunities(times_ns=Times(tuple(range(0, 50 * MS, MS))), frame_bytes=1000, period_ns=1000 * MS)
    train = schedules.busy(Impairments(bottleneck=Bottleneck(rate=trace, queue_bytes=10**5)), MTU, QUICK.train_ns)
    assert train.frame_bytes == 1000
    assert train.rate_bps == pytest.approx(1.25 * 50 * 8000 * 10, rel=0.05)
    assert 8 * train.count * train.frame_bytes / train.rate_bps >= 1.9


def test_a_train_that_overflows_the_queue_is_longer_than_that():
    impairments = Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**7), queue_bytes=625_000, overhead_bytes=24))
    train = schedules.overflowing(impairments, MTU)
    # Twice the rate: half of what is sent waits.
    assert train.count * train.frame_bytes / 2 > 1.2 * 625_000
    assert train.in_flight_ns > 500 * MS


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**4)), None),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**4, discipline=DropHead())), None),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**4, discipline=CoDel())),
            "codel keeps it short",
        ),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**7)), "filling it takes 80 s"),
        (
            Impairments(
                bottleneck=Bottleneck(
                    rate=RateSteps(starts_ns=(0,), rates_bps=(10**6,), period_ns=MS), queue_bytes=10**5
                )
            ),
            "the rate before it varies",
        ),
    ],
)
def test_the_reason_that_a_queue_is_not_filled(impairments, reason):
    assert schedules.unfillable(impairments) == reason


def test_a_deeper_check_sends_more_probes_and_longer_trains():
    impairments = Impairments(
        delay_ns=20 * MS, loss=CorrelatedLoss(probability=CERTAIN // 50, correlation=CERTAIN // 4)
    )
    assert schedules.spaced_probes(impairments, DEEP.probes_ns).count == 10_000
    assert capacity.mean_bps(FixedRate(bps=8)) == 8
