import pytest

from testbed.engines.netem import fidelity
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    Drop,
    DropHead,
    DualPi2,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    RandomEvent,
    Reorder,
    Times,
    TokenBucket,
)

MBIT = 1_000_000
MS = 1_000_000
HALF = RandomEvent(probability=CERTAIN // 2)
RARE = RandomEvent(probability=1)


def bursty(**bucket):
    return Impairments(bottleneck=Bottleneck(rate=TokenBucket(**bucket), queue_bytes=20_000))


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(),
        Impairments(delay_ns=1, loss=IndependentLoss(probability=2)),
        Impairments(delay_ns=3_600_000_000_000, loss=IndependentLoss(probability=CERTAIN)),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000), queue_bytes=1514)),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=400_000 * MBIT), queue_bytes=(1 << 32) - 1)),
        Impairments(delay_ns=40 * MS, jitter=Jitter(ns=10 * MS, keeps_order=False)),
        Impairments(delay_ns=40 * MS, jitter=Jitter(ns=10 * MS, distribution="normal", keeps_order=False)),
        Impairments(loss=CorrelatedLoss(probability=CERTAIN // 50, correlation=CERTAIN // 4)),
        Impairments(loss=GilbertElliott(to_bad=1, to_good=CERTAIN // 4)),
        Impairments(loss=FourState(p13=CERTAIN // 2, p14=CERTAIN // 2, p31=CERTAIN, p32=0, p23=CERTAIN)),
        Impairments(loss=IndependentLoss(probability=CERTAIN // 2), corruption=Corruption(event=HALF)),
        Impairments(duplicate=HALF, bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000)),
        Impairments(delay_ns=MS, duplicate=HALF, reorder=Reorder(event=RARE, gap=5)),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=20_000, overhead_bytes=38)),
        Impairments(
            bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=20_000, discipline=CoDel(ecn=True))
        ),
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=20_000, discipline=FqCoDel())),
        bursty(bps=8 * MBIT, burst_bytes=2514, peak_bps=800 * MBIT),
    ],
)
def test_what_netem_does_is_supported(impairments):
    assert fidelity.supports(impairments, mtu=1500) is None


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(delay_ns=2, jitter=Jitter(ns=1)), "reorders"),
        (Impairments(delay_ns=2, jitter=Jitter(ns=1, keeps_order=False, correlation=9)), "low bits"),
        (Impairments(delay_ns=1 << 31, jitter=Jitter(ns=1 << 31, keeps_order=False)), "2.147 s"),
        (Impairments(loss=IndependentLoss(probability=1)), "loss that netem knows is 2 in 2"),
        (Impairments(duplicate=RARE), "duplication that netem knows is 2 in 2"),
        (
            Impairments(loss=CorrelatedLoss(probability=9, correlation=1)),
            "correlation of loss that netem knows is 2 in 2",
        ),
        (Impairments(drops=(Drop(numbers=(1,)),)), "script"),
        (
            Impairments(
                bottleneck=Bottleneck(
                    rate=Opportunities(times_ns=Times((1,)), frame_bytes=1514, period_ns=1), queue_bytes=20_000
                )
            ),
            "trace",
        ),
        (Impairments(corruption=Corruption(event=HALF, fix_checksum=True)), "checksums"),
        (Impairments(duplicate=HALF, loss=IndependentLoss(probability=9)), "draws loss again"),
        (Impairments(duplicate=HALF, loss=GilbertElliott(to_bad=1, to_good=1)), "draws loss again"),
        (Impairments(duplicate=HALF, corruption=Corruption(event=HALF)), "two copies"),
        (Impairments(reorder=Reorder(event=HALF, late_ns=1)), "holding them longer"),
        (
            Impairments(
                reorder=Reorder(event=HALF), bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000)
            ),
            "bypass the bottleneck",
        ),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=20_001), queue_bytes=20_000)), "20001"),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=2_000), queue_bytes=20_000)), "4.29 s"),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000), queue_bytes=20_000, overhead_bytes=3_000)),
            "4.29 s",
        ),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000, overhead_bytes=1 << 16)),
            "65535",
        ),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=1513)), "1514"),
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=1 << 32)), "4294967296"),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000, discipline=DropHead())),
            "counts packets",
        ),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000, discipline=DualPi2())),
            "sch_dualpi2",
        ),
        (bursty(bps=8 * MBIT, burst_bytes=2513), "loses tokens of a burst of less than 2514 bytes"),
        (bursty(bps=8_000, burst_bytes=300_000), "275 s"),
        (bursty(bps=8 * MBIT, burst_bytes=10**6, peak_bps=80 * MBIT + 1), "80000001"),
        (
            Impairments(
                bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000, discipline=CoDel(target_ns=511))
            ),
            "target 511",
        ),
        (
            Impairments(
                bottleneck=Bottleneck(
                    rate=FixedRate(bps=MBIT), queue_bytes=20_000, discipline=FqCoDel(interval_ns=1 << 42)
                )
            ),
            "interval",
        ),
    ],
)
def test_what_netem_does_otherwise_is_refused_with_the_reason(impairments, reason):
    assert reason in str(fidelity.supports(impairments, mtu=1500))


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=12_000_000), queue_bytes=20_000)), "1.0 ms early"),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=13_000_000), queue_bytes=20_000, overhead_bytes=200)),
            "1.1 ms early",
        ),
        (bursty(bps=8 * MBIT, burst_bytes=10**6, peak_bps=12 * MBIT), "1.0 ms early at this peak"),
        (Impairments(corruption=Corruption(event=HALF)), "Ethernet headers"),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=20_000, discipline=CoDel())),
            "codel would limit",
        ),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=20 * MBIT), queue_bytes=20_000, discipline=FqCoDel())),
            "in packets",
        ),
    ],
)
def test_what_netem_does_nearly_is_a_compromise(impairments, reason):
    assert fidelity.supports(impairments, mtu=1500) is None
    assert reason in str(fidelity.compromises(impairments, mtu=1500))


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(),
        Impairments(delay_ns=40 * MS, loss=IndependentLoss(probability=9)),
        bursty(bps=8 * MBIT, burst_bytes=10**6),
        Impairments(
            bottleneck=Bottleneck(rate=FixedRate(bps=12_112_000), queue_bytes=20_000)
        ),  # a full frame takes a millisecond
    ],
)
def test_what_netem_does_exactly_is_none(impairments):
    assert fidelity.compromises(impairments, mtu=1500) is None


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(corruption=Corruption(event=HALF)), "bit"),
        (Impairments(duplicate=RandomEvent(probability=9, correlation=9)), "correlated"),
        (
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000, discipline=FqCoDel())),
            "flows",
        ),
    ],
)
def test_what_no_seed_decides_is_named(impairments, reason):
    assert reason in str(fidelity.unrepeatable(impairments))


def test_what_a_seed_decides_is_repeatable():
    impairments = Impairments(
        delay_ns=2,
        jitter=Jitter(ns=1, keeps_order=False),
        loss=GilbertElliott(to_bad=1, to_good=1),
        bottleneck=Bottleneck(rate=FixedRate(bps=MBIT), queue_bytes=20_000),
    )
    assert fidelity.unrepeatable(impairments) is None
