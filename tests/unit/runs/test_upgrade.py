"""What version 1 stored of a link, in the form of this version."""

import pytest

from testbed import codec
from testbed.impairments import (
    Blackhole,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Corruption,
    Drop,
    DropHead,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    RandomEvent,
    RateSteps,
    Reorder,
    Times,
)
from testbed.runs.upgrade import VERSION, impairments_of_shape, upgraded

EVENT = {"probability": 5, "correlation": 6}
RANDOM = RandomEvent(probability=5, correlation=6)
CERTAIN = 1 << 32
VARIATION = {"distribution": "normal", "table": [], "correlation": 3, "keeps_order": False}
TABLE = {"distribution": "table", "table": [-1, 1], "correlation": 0, "keeps_order": True}
CODEL = {"target_ns": 7, "interval_ns": 8, "ecn": True}
DROP = {"protocol": "tcp", "port": 80, "flags": "s", "payload": None, "numbers": [1], "every": 0}
STEPS = {"starts_ns": [0], "rates_bps": [8], "period_ns": 9}
TIMES = {"times_ns": [0, 1], "frame_bytes": 1514, "period_ns": 2}
RATE = FixedRate(bps=8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({}, Impairments()),
        ({"delay_ns": 9, "jitter_ns": 4}, Impairments(delay_ns=9, jitter=Jitter(ns=4))),
        (
            {"delay_ns": 9, "jitter_ns": 4, "variation": VARIATION},
            Impairments(delay_ns=9, jitter=Jitter(ns=4, distribution="normal", correlation=3, keeps_order=False)),
        ),
        (
            {"delay_ns": 9, "jitter_ns": 4, "variation": TABLE},
            Impairments(delay_ns=9, jitter=Jitter(ns=4, distribution=(-1, 1))),
        ),
        ({"loss": 5}, Impairments(loss=IndependentLoss(probability=5))),
        ({"loss_model": EVENT}, Impairments(loss=CorrelatedLoss(probability=5, correlation=6))),
        (
            {"loss_model": {"to_bad": 1, "to_good": 2, "loss_good": 3, "loss_bad": 4}},
            Impairments(loss=GilbertElliott(to_bad=1, to_good=2, loss_good=3, loss_bad=4)),
        ),
        (
            {"loss_model": {"p13": 1, "p31": 2, "p32": 3, "p23": 4, "p14": 5}},
            Impairments(loss=FourState(p13=1, p31=2, p32=3, p23=4, p14=5)),
        ),
        ({"loss": CERTAIN}, Impairments(loss=IndependentLoss(probability=CERTAIN))),
        ({"loss": CERTAIN, "latent": {"blackhole": True}}, Impairments(loss=Blackhole())),
        (
            {"loss": CERTAIN, "latent": {"blackhole": True, "loss": 5}},
            Impairments(loss=Blackhole(hidden=IndependentLoss(probability=5))),
        ),
        (
            {"drops": [DROP], "duplicate": EVENT, "corruption": {"chance": EVENT, "fix_checksum": True}},
            Impairments(
                drops=(Drop(protocol="tcp", port=80, flags="s", numbers=(1,)),),
                duplicate=RANDOM,
                corruption=Corruption(event=RANDOM, fix_checksum=True),
            ),
        ),
        (
            {"reorder": {"chance": EVENT, "gap": 2, "late_ns": 3}},
            Impairments(reorder=Reorder(event=RANDOM, gap=2, late_ns=3)),
        ),
        (
            {"rate_bps": 8, "queue_bytes": 9, "overhead_bytes": 4, "latent": {"queue_ns": 7}},
            Impairments(bottleneck=Bottleneck(rate=RATE, queue_bytes=9, overhead_bytes=4, queue_ns=7)),
        ),
        (
            {"rate_bps": 8, "queue_bytes": 9, "discipline": {"name": "drophead", **CODEL}},
            Impairments(bottleneck=Bottleneck(rate=RATE, queue_bytes=9, discipline=DropHead())),
        ),
        (
            {"trace": STEPS, "queue_bytes": 9, "discipline": {"name": "codel", **CODEL}},
            Impairments(
                bottleneck=Bottleneck(
                    rate=RateSteps(starts_ns=(0,), rates_bps=(8,), period_ns=9),
                    queue_bytes=9,
                    discipline=CoDel(target_ns=7, interval_ns=8, ecn=True),
                )
            ),
        ),
        (
            {"trace": TIMES, "queue_bytes": 9, "discipline": {"name": "fq_codel", **CODEL}},
            Impairments(
                bottleneck=Bottleneck(
                    rate=Opportunities(times_ns=Times((0, 1)), frame_bytes=1514, period_ns=2),
                    queue_bytes=9,
                    discipline=FqCoDel(target_ns=7, interval_ns=8, ecn=True),
                )
            ),
        ),
        (
            {"latent": {"queue_bytes": 9, "queue_ns": 7, "overhead_bytes": 4}},
            Impairments(
                hidden_bottleneck=Bottleneck(rate=FixedRate(bps=1), queue_bytes=9, queue_ns=7, overhead_bytes=4)
            ),
        ),
    ],
)
def test_a_shape_of_version_1_becomes_the_same_impairments(shape, expected):
    assert codec.decode(impairments_of_shape(shape), Impairments) == expected


def test_a_counter_that_was_renamed_later_is_read_by_its_old_name():
    links = [{"source": "a", "counts": {"codel_drops": 3, "queue_drops": 4}}]
    read = upgraded({"version": VERSION, "statistics_after": links})
    assert read["statistics_after"] == [{"source": "a", "counts": {"early_drops": 3, "queue_drops": 4}}]
