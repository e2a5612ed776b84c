import random
from itertools import islice, pairwise

import pytest

from testbed.check import random_processes
from testbed.impairments import (
    CERTAIN,
    FourState,
    GilbertElliott,
    RandomEvent,
)

DRAWS = 200_000


def part(percent):
    return round(CERTAIN * percent / 100)


def four_states(model, rng):
    """netem's loss_4state (net/sched/sch_netem.c)."""
    p13, p31, p32, p23, p14 = (each / CERTAIN for each in (model.p13, model.p31, model.p32, model.p23, model.p14))
    state = 1
    while True:
        draw = rng.random()
        if state == 1:
            state = 3 if draw < p13 else 4 if draw < p13 + p14 else 1
        elif state == 2:
            state = 3 if draw < p23 else 2
        elif state == 3:
            state = 1 if draw < p31 else 2 if draw < p31 + p32 else 3
        else:
            state = 1
        yield state > 2


def gilbert_elliott(model, rng):
    bad = False
    while True:
        bad = rng.random() < (CERTAIN - model.to_good if bad else model.to_bad) / CERTAIN
        yield rng.random() < (model.loss_bad if bad else model.loss_good) / CERTAIN


MODELS = [
    (FourState(p13=part(1), p31=part(25), p32=part(10), p23=part(30), p14=part(0.5)), four_states),
    (GilbertElliott(to_bad=part(2), to_good=part(20)), gilbert_elliott),
    (GilbertElliott(to_bad=part(5), to_good=part(20), loss_good=part(1), loss_bad=part(60)), gilbert_elliott),
]


@pytest.mark.parametrize(("model", "simulated"), MODELS)
def test_a_chain_agrees_with_its_simulation(model, simulated):
    lost = [*islice(simulated(model, random.Random(2)), DRAWS)]
    process = random_processes.of(model)
    assert process.rate == pytest.approx(sum(lost) / DRAWS, rel=0.05)
    assert process.twice == pytest.approx(sum(a and b for a, b in pairwise(lost)) / DRAWS, rel=0.08)
    counts = [sum(lost[start : start + 500]) for start in range(0, DRAWS, 500)]
    spread = sum((count - 500 * process.rate) ** 2 for count in counts) / len(counts)
    assert process.inflation == pytest.approx(spread / (500 * process.rate * (1 - process.rate)), rel=0.3)


def test_a_simple_gilbert_model_in_closed_form():
    process = random_processes.of(GilbertElliott(to_bad=CERTAIN // 64, to_good=CERTAIN // 4))
    assert process.rate == pytest.approx((1 / 64) / (1 / 64 + 1 / 4))
    assert 1 / process.ends == pytest.approx(4)
    memory = 1 - 1 / 64 - 1 / 4
    assert process.inflation == pytest.approx((1 + memory) / (1 - memory))


def test_a_periodic_chain_converges():
    process = random_processes.of(FourState(p13=0, p31=0, p32=0, p23=0, p14=CERTAIN))
    assert process.rate == pytest.approx(0.5)
    assert process.ends == pytest.approx(1)


def test_correlated_events_are_rarer_and_bunched():
    """netem's mix of draws has less spread than a uniform one: tc-netem(8) does not say so, its source does."""
    plain, mixed = (random_processes.of(RandomEvent(probability=part(10), correlation=part(c))) for c in (0, 25))
    assert plain == random_processes.independent(part(10) / CERTAIN)
    assert mixed.rate < plain.rate
    assert mixed.twice > mixed.rate**2
    assert mixed.inflation > 1


def test_the_union_of_two_events():
    both = random_processes.independent(0.02).or_else(0.03)
    assert both.rate == pytest.approx(1 - 0.98 * 0.97)
    assert both.twice == pytest.approx(both.rate**2)
    assert both.inflation == 1
    bunched = random_processes.of(GilbertElliott(to_bad=part(2), to_good=part(20)))
    assert 1 < bunched.or_else(0.1).inflation < bunched.inflation
    assert bunched.or_else(0).twice == pytest.approx(bunched.twice)


def test_impossible_and_certain_events():
    assert random_processes.of(None).ends == 1
    always = random_processes.independent(1)
    assert (always.ends, always.or_else(0.5).rate) == (0, 1)
