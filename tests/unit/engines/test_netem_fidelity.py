import pytest

from testbed.engines.netem import fidelity
from testbed.impairments import (
    CERTAIN,
    Chance,
    Corruption,
    Discipline,
    Drop,
    FourState,
    GilbertElliott,
    Impairments,
    Opportunities,
    Reorder,
    Variation,
)

MBIT = 1_000_000
MS = 1_000_000
HALF = Chance(probability=CERTAIN // 2)
RARE = Chance(probability=1)
ANY_ORDER = Variation(keeps_order=False)


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(),
        Impairments(delay_ns=1, loss=2),
        Impairments(delay_ns=3_600_000_000_000, loss=CERTAIN),
        Impairments(rate_bps=8_000, queue_bytes=1514),
        Impairments(rate_bps=400_000 * MBIT, queue_bytes=(1 << 32) - 1),
        Impairments(delay_ns=40 * MS, jitter_ns=10 * MS, variation=ANY_ORDER),
        Impairments(delay_ns=40 * MS, jitter_ns=10 * MS, variation=Variation(distribution="normal", keeps_order=False)),
        Impairments(loss_model=Chance(probability=CERTAIN // 50, correlation=CERTAIN // 4)),
        Impairments(loss_model=GilbertElliott(to_bad=1, to_good=CERTAIN // 4)),
        Impairments(loss_model=FourState(p13=CERTAIN // 2, p14=CERTAIN // 2, p31=CERTAIN, p32=0, p23=CERTAIN)),
        Impairments(loss=CERTAIN // 2, corruption=Corruption(chance=HALF)),
        Impairments(duplicate=HALF, rate_bps=MBIT, queue_bytes=20_000),
        Impairments(delay_ns=MS, duplicate=HALF, reorder=Reorder(chance=RARE, gap=5)),
        Impairments(rate_bps=20 * MBIT, queue_bytes=20_000, overhead_bytes=38),
        Impairments(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="codel", ecn=True)),
        Impairments(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")),
    ],
)
def test_what_netem_does_is_supported(impairments):
    assert fidelity.supports(impairments, mtu=1500) is None


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(delay_ns=2, jitter_ns=1), "reorders"),
        (Impairments(delay_ns=2, jitter_ns=1, variation=Variation(keeps_order=False, correlation=9)), "low bits"),
        (Impairments(delay_ns=1 << 31, jitter_ns=1 << 31, variation=ANY_ORDER), "2.147 s"),
        (Impairments(loss=1), "loss that netem knows is 2 in 2"),
        (Impairments(duplicate=RARE), "duplication that netem knows is 2 in 2"),
        (
            Impairments(loss_model=Chance(probability=9, correlation=1)),
            "correlation of loss that netem knows is 2 in 2",
        ),
        (Impairments(drops=(Drop(numbers=(1,)),)), "script"),
        (Impairments(trace=Opportunities(times_ns=(1,), frame_bytes=1514, period_ns=1), queue_bytes=20_000), "trace"),
        (Impairments(corruption=Corruption(chance=HALF, fix_checksum=True)), "checksums"),
        (Impairments(duplicate=HALF, loss=9), "draws loss again"),
        (Impairments(duplicate=HALF, loss_model=GilbertElliott(to_bad=1, to_good=1)), "draws loss again"),
        (Impairments(duplicate=HALF, corruption=Corruption(chance=HALF)), "two copies"),
        (Impairments(reorder=Reorder(chance=HALF, late_ns=1)), "holding them longer"),
        (Impairments(reorder=Reorder(chance=HALF), rate_bps=MBIT, queue_bytes=20_000), "bypass the bottleneck"),
        (Impairments(rate_bps=20_001, queue_bytes=20_000), "20001"),
        (Impairments(rate_bps=2_000, queue_bytes=20_000), "4.29 s"),
        (Impairments(rate_bps=8_000, queue_bytes=20_000, overhead_bytes=3_000), "4.29 s"),
        (Impairments(rate_bps=MBIT, queue_bytes=20_000, overhead_bytes=1 << 16), "65535"),
        (Impairments(rate_bps=MBIT, queue_bytes=1513), "1514"),
        (Impairments(rate_bps=MBIT, queue_bytes=1 << 32), "4294967296"),
        (Impairments(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="drophead")), "counts packets"),
        (
            Impairments(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="codel", target_ns=511)),
            "target 511",
        ),
        (
            Impairments(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel", interval_ns=1 << 42)),
            "interval",
        ),
    ],
)
def test_what_netem_does_otherwise_is_refused_with_the_reason(impairments, reason):
    assert reason in str(fidelity.supports(impairments, mtu=1500))


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(rate_bps=12_000_000, queue_bytes=20_000), "1.0 ms early"),
        (Impairments(rate_bps=13_000_000, queue_bytes=20_000, overhead_bytes=200), "1.1 ms early"),
        (Impairments(corruption=Corruption(chance=HALF)), "Ethernet headers"),
        (Impairments(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="codel")), "codel would limit"),
        (Impairments(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")), "in packets"),
    ],
)
def test_what_netem_does_nearly_is_a_compromise(impairments, reason):
    assert fidelity.supports(impairments, mtu=1500) is None
    assert reason in str(fidelity.compromises(impairments, mtu=1500))


@pytest.mark.parametrize(
    "impairments",
    [
        Impairments(),
        Impairments(delay_ns=40 * MS, loss=9),
        Impairments(rate_bps=12_112_000, queue_bytes=20_000),  # a full frame takes a millisecond
        Impairments(discipline=Discipline(name="codel")),
    ],
)
def test_what_netem_does_exactly_is_none(impairments):
    assert fidelity.compromises(impairments, mtu=1500) is None


@pytest.mark.parametrize(
    ("impairments", "reason"),
    [
        (Impairments(corruption=Corruption(chance=HALF)), "bit"),
        (Impairments(duplicate=Chance(probability=9, correlation=9)), "correlated"),
        (Impairments(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")), "flows"),
    ],
)
def test_what_no_seed_decides_is_named(impairments, reason):
    assert reason in str(fidelity.unrepeatable(impairments))


def test_what_a_seed_decides_is_repeatable():
    impairments = Impairments(
        delay_ns=2,
        jitter_ns=1,
        variation=ANY_ORDER,
        loss_model=GilbertElliott(to_bad=1, to_good=1),
        rate_bps=MBIT,
        queue_bytes=20_000,
    )
    assert fidelity.unrepeatable(impairments) is None
