import pytest

from testbed.engines import netem
from testbed.impairments import (
    CERTAIN,
    Chance,
    Corruption,
    Discipline,
    Drop,
    FourState,
    GilbertElliott,
    Opportunities,
    Reorder,
    Shape,
    Variation,
)

MBIT = 1_000_000
MS = 1_000_000
HALF = Chance(probability=CERTAIN // 2)
RARE = Chance(probability=1)
ANY_ORDER = Variation(keeps_order=False)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(delay_ns=1, loss=2),
        Shape(delay_ns=3_600_000_000_000, loss=CERTAIN),
        Shape(rate_bps=8_000, queue_bytes=1514),
        Shape(rate_bps=400_000 * MBIT, queue_bytes=(1 << 32) - 1),
        Shape(delay_ns=40 * MS, jitter_ns=10 * MS, variation=ANY_ORDER),
        Shape(delay_ns=40 * MS, jitter_ns=10 * MS, variation=Variation(distribution="normal", keeps_order=False)),
        Shape(loss_model=Chance(probability=CERTAIN // 50, correlation=CERTAIN // 4)),
        Shape(loss_model=GilbertElliott(to_bad=1, to_good=CERTAIN // 4)),
        Shape(loss_model=FourState(p13=CERTAIN // 2, p14=CERTAIN // 2, p31=CERTAIN, p32=0, p23=CERTAIN)),
        Shape(loss=CERTAIN // 2, corruption=Corruption(chance=HALF)),
        Shape(duplicate=HALF, rate_bps=MBIT, queue_bytes=20_000),
        Shape(delay_ns=MS, duplicate=HALF, reorder=Reorder(chance=RARE, gap=5)),
        Shape(rate_bps=20 * MBIT, queue_bytes=20_000, overhead_bytes=38),
        Shape(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="codel", ecn=True)),
        Shape(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")),
    ],
)
def test_what_netem_does_is_supported(shape):
    assert netem.supports(shape, mtu=1500) is None


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Shape(delay_ns=2, jitter_ns=1), "reorders"),
        (Shape(delay_ns=2, jitter_ns=1, variation=Variation(keeps_order=False, correlation=9)), "low bits"),
        (Shape(delay_ns=1 << 31, jitter_ns=1 << 31, variation=ANY_ORDER), "2.147 s"),
        (Shape(loss=1), "loss that netem knows is 2 in 2"),
        (Shape(duplicate=RARE), "duplication that netem knows is 2 in 2"),
        (Shape(loss_model=Chance(probability=9, correlation=1)), "correlation of loss that netem knows is 2 in 2"),
        (Shape(drops=(Drop(numbers=(1,)),)), "script"),
        (Shape(trace=Opportunities(times_ns=(1,), frame_bytes=1514, period_ns=1), queue_bytes=20_000), "trace"),
        (Shape(corruption=Corruption(chance=HALF, fix_checksum=True)), "checksums"),
        (Shape(duplicate=HALF, loss=9), "draws loss again"),
        (Shape(duplicate=HALF, loss_model=GilbertElliott(to_bad=1, to_good=1)), "draws loss again"),
        (Shape(duplicate=HALF, corruption=Corruption(chance=HALF)), "two copies"),
        (Shape(reorder=Reorder(chance=HALF, late_ns=1)), "holding them longer"),
        (Shape(reorder=Reorder(chance=HALF), rate_bps=MBIT, queue_bytes=20_000), "bypass the bottleneck"),
        (Shape(rate_bps=20_001, queue_bytes=20_000), "20001"),
        (Shape(rate_bps=2_000, queue_bytes=20_000), "4.29 s"),
        (Shape(rate_bps=8_000, queue_bytes=20_000, overhead_bytes=3_000), "4.29 s"),
        (Shape(rate_bps=MBIT, queue_bytes=20_000, overhead_bytes=1 << 16), "65535"),
        (Shape(rate_bps=MBIT, queue_bytes=1513), "1514"),
        (Shape(rate_bps=MBIT, queue_bytes=1 << 32), "4294967296"),
        (Shape(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="drophead")), "counts packets"),
        (Shape(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="codel", target_ns=511)), "target 511"),
        (
            Shape(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel", interval_ns=1 << 42)),
            "interval",
        ),
    ],
)
def test_what_netem_does_otherwise_is_refused_with_the_reason(shape, reason):
    assert reason in str(netem.supports(shape, mtu=1500))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Shape(rate_bps=12_000_000, queue_bytes=20_000), "1.0 ms early"),
        (Shape(rate_bps=13_000_000, queue_bytes=20_000, overhead_bytes=200), "1.1 ms early"),
        (Shape(corruption=Corruption(chance=HALF)), "Ethernet headers"),
        (Shape(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="codel")), "codel would limit"),
        (Shape(rate_bps=20 * MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")), "in packets"),
    ],
)
def test_what_netem_does_nearly_is_a_compromise(shape, reason):
    assert netem.supports(shape, mtu=1500) is None
    assert reason in str(netem.compromises(shape, mtu=1500))


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(delay_ns=40 * MS, loss=9),
        Shape(rate_bps=12_112_000, queue_bytes=20_000),  # a full frame takes a millisecond
        Shape(discipline=Discipline(name="codel")),
    ],
)
def test_what_netem_does_exactly_is_none(shape):
    assert netem.compromises(shape, mtu=1500) is None


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Shape(corruption=Corruption(chance=HALF)), "bit"),
        (Shape(duplicate=Chance(probability=9, correlation=9)), "correlated"),
        (Shape(rate_bps=MBIT, queue_bytes=20_000, discipline=Discipline(name="fq_codel")), "flows"),
    ],
)
def test_what_no_seed_decides_is_named(shape, reason):
    assert reason in str(netem.unrepeatable(shape))


def test_what_a_seed_decides_is_repeatable():
    shape = Shape(
        delay_ns=2,
        jitter_ns=1,
        variation=ANY_ORDER,
        loss_model=GilbertElliott(to_bad=1, to_good=1),
        rate_bps=MBIT,
        queue_bytes=20_000,
    )
    assert netem.unrepeatable(shape) is None
