"""What lies between two impairments of a link."""

from fractions import Fraction

import pytest

from testbed.impairments import (
    CLEAR,
    Bottleneck,
    Corruption,
    FixedRate,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    RandomEvent,
    Reorder,
)
from testbed.impairments.ramps import NoMiddleError, between

HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    ("key", "first", "last", "middle"),
    [
        ("delay", Impairments(delay_ns=10), Impairments(delay_ns=30), {"delay_ns": 20}),
        ("jitter", Impairments(delay_ns=9), Impairments(delay_ns=9, jitter=Jitter(ns=8)), {"jitter": Jitter(ns=4)}),
        ("loss", Impairments(loss=IndependentLoss(probability=8)), CLEAR, {"loss": IndependentLoss(probability=4)}),
        (
            "duplicate",
            CLEAR,
            Impairments(duplicate=RandomEvent(probability=6)),
            {"duplicate": RandomEvent(probability=3)},
        ),
        (
            "corrupt",
            Impairments(corruption=Corruption(event=RandomEvent(probability=2))),
            Impairments(corruption=Corruption(event=RandomEvent(probability=6))),
            {"corruption": Corruption(event=RandomEvent(probability=4))},
        ),
        (
            "reorder",
            CLEAR,
            Impairments(reorder=Reorder(event=RandomEvent(probability=6), late_ns=5)),
            {"reorder": Reorder(event=RandomEvent(probability=3), late_ns=5)},
        ),
        (
            "rate",
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=100), queue_bytes=2000)),
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=200), queue_bytes=4000)),
            {"bottleneck": Bottleneck(rate=FixedRate(bps=150), queue_bytes=3000)},
        ),
    ],
)
def test_half_way_values_are_halfway_between_first_and_last(key, first, last, middle):
    assert between(key, first, last, HALF) == middle


def test_at_its_end_a_ramp_has_the_requested_value():
    last = Impairments(loss=GilbertElliott(to_bad=1, to_good=2, loss_good=0, loss_bad=3))
    assert between("loss", CLEAR, last, Fraction(1)) == {"loss": last.loss}


@pytest.mark.parametrize(
    ("key", "last"),
    [
        ("loss", Impairments(loss=GilbertElliott(to_bad=1, to_good=2, loss_good=0, loss_bad=3))),
        ("rate", Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=200), queue_bytes=4000))),
    ],
)
def test_values_that_differ_in_more_than_numbers_have_none_between_them(key, last):
    with pytest.raises(NoMiddleError):
        between(key, CLEAR, last, HALF)
