"""Losses in the long run. Seeds are fixed; bounds are five standard deviations of what is estimated."""

from itertools import groupby
from math import sqrt
from statistics import fmean, stdev

import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import (
    CERTAIN,
    CorrelatedLoss,
    FourState,
    GilbertElliott,
    Impairments,
    IndependentLoss,
)

FRAMES = 100_000


def losses(**impairments):
    """Whether each of the frames is lost."""
    link = LinkEmulator(Impairments(**impairments), 7, 0)
    link.accept([number.to_bytes(4, "big") for number in range(FRAMES)], 0)
    passed = {int.from_bytes(packet, "big") for packet in map(contents, link.release(0, FRAMES))}
    return [number not in passed for number in range(FRAMES)]


def runs(lost):
    """Lengths of the runs of losses, and of those of deliveries."""
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for kind, run in groupby(lost):
        lengths[kind].append(len(list(run)))
    return lengths[True], lengths[False]


def assert_mean(values, expected):
    assert abs(fmean(values) - expected) < 5 * stdev(values) / sqrt(len(values))


def test_independent_losses_have_their_rate_and_geometric_runs():
    lost = losses(loss=IndependentLoss(probability=CERTAIN // 50))
    assert_mean(lost, 1 / 50)
    bursts, gaps = runs(lost)
    assert_mean(bursts, 50 / 49)
    assert_mean(gaps, 50)


def test_correlated_losses_come_together():
    lost = losses(loss=CorrelatedLoss(probability=CERTAIN // 4, correlation=CERTAIN // 2))
    bursts, _ = runs(lost)
    assert fmean(bursts) > 1.2 / (1 - fmean(lost))  # 1 where each is independent


@pytest.mark.parametrize(("rate", "burst"), [(0.02, 4), (0.1, 10), (0.3, 1.5)])
def test_bursts_have_their_rate_and_mean_length(rate, burst):
    to_good = CERTAIN / burst
    model = GilbertElliott(to_bad=round(to_good * rate / (1 - rate)), to_good=round(to_good))
    bursts, gaps = runs(losses(loss=model))
    assert_mean(bursts, burst)
    assert_mean(gaps, burst * (1 - rate) / rate)


def test_both_states_lose_at_their_rate():
    model = GilbertElliott(to_bad=CERTAIN // 10, to_good=CERTAIN // 10, loss_good=CERTAIN // 20, loss_bad=CERTAIN // 2)
    rate = fmean(losses(loss=model))
    correlated = (1 + 0.8) / (1 - 0.8)  # the variance of a chain's mean is so much larger
    assert abs(rate - (1 / 20 + 1 / 2) / 2) < 5 * sqrt(0.25 / FRAMES * correlated)


def test_the_four_states_have_their_runs():
    model = FourState(p13=CERTAIN // 50, p31=CERTAIN // 4, p32=CERTAIN // 4, p23=CERTAIN // 2, p14=CERTAIN // 100)
    p13, p31, p32, p23, p14 = 1 / 50, 1 / 4, 1 / 4, 1 / 2, 1 / 100
    bursts, _ = runs(losses(loss=model))
    # Stationary distribution by the balance of flows between the states.
    good = 1
    within = good * p13 / p31
    delivered_within = within * p32 / p23
    alone = good * p14
    total = good + within + delivered_within + alone
    lost = fmean(losses(loss=model))
    assert abs(lost - (within + alone) / total) < 5 * sqrt(0.25 / FRAMES * 20)
    starts = good * (p13 + p14) + delivered_within * p23
    assert_mean(bursts, (within + alone) / starts)


def test_all_chains_begin_in_their_good_state():
    stays = GilbertElliott(to_bad=0, to_good=0, loss_good=0, loss_bad=CERTAIN)
    assert not any(losses(loss=stays))
    assert not any(losses(loss=FourState(p13=0, p31=CERTAIN, p32=0, p23=CERTAIN, p14=0)))
    assert losses(loss=FourState(p13=0, p31=0, p32=0, p23=0, p14=CERTAIN))[:4] == [True, False, True, False]
