"""Reordering, judged from the order in which a simulated link and a late machine deliver the probes."""

import random
from array import array

import pytest

from testbed.check import AS_REQUESTED, schedules
from testbed.check.judging import judge
from testbed.check.trains import TrainRecord
from testbed.impairments import (
    CERTAIN,
    Impairments,
    IndependentLoss,
    Jitter,
    RandomEvent,
    Reorder,
)

MS = 1_000_000
LEVEL = 1e-5


def percent(value):
    return round(CERTAIN * value / 100)


def crossed(impairments, *, probability=None, seed=1, late_ms=0.3):
    """Probes of a link with these impairments, or that displaces another share; the machine is late by so much."""
    rng = random.Random(seed)
    schedule = schedules.spaced_probes(impairments, 1800 * MS)
    sent_ns, due = [], []
    since = entered_ns = 0
    for number in range(schedule.count):
        at_ns = number * schedule.interval_ns + round(rng.expovariate(1) * 20_000)
        sent_ns.append(at_ns)
        since += 1
        free = since >= impairments.reorder.gap
        delay_ns = impairments.delay_ns + round(rng.uniform(-1, 1) * impairments.jitter_ns)
        chance = impairments.reorder.event.probability / CERTAIN if probability is None else probability
        if free and rng.random() < chance:
            since = 0
            delay_ns = delay_ns + impairments.reorder.late_ns if impairments.reorder.late_ns else 0
        if impairments.loss is None or rng.random() >= impairments.loss.probability / CERTAIN:
            entered_ns = max(entered_ns, at_ns + round(rng.expovariate(1) * late_ms * MS / 2))
            due.append((entered_ns + delay_ns, number))
    due.sort()
    received_ns, last = [], 0
    for at_ns, _ in due:
        last = max(last, at_ns + round(rng.expovariate(1) * late_ms * MS / 2))
        received_ns.append(last)
    return TrainRecord(
        frame_bytes=54,
        sent_ns=array("q", sent_ns),
        sequence=array("q", [number for _, number in due]),
        received_ns=array("q", received_ns),
        unexpected=0,
    ).sample(scripted=0)


def reordered(impairments, **how):
    return next(
        each for each in judge(impairments, crossed(impairments, **how), level=LEVEL) if each.name == "reordered"
    )


def all_impairments():
    for delay_ms in (0.2, 1, 2, 3, 4, 5, 6, 10, 20, 100):
        for share in (1, 20, 50, 90):
            yield Impairments(
                delay_ns=round(delay_ms * MS), reorder=Reorder(event=RandomEvent(probability=percent(share)))
            )
        held = Reorder(event=RandomEvent(probability=percent(30)), late_ns=round(delay_ms * MS))
        yield Impairments(delay_ns=20 * MS, reorder=held)
        yield Impairments(
            delay_ns=round(delay_ms * MS),
            reorder=Reorder(event=RandomEvent(probability=percent(50)), gap=3),
            loss=IndependentLoss(probability=percent(10)),
        )


@pytest.mark.parametrize("late_ms", [0.05, 1, 8])
def test_a_right_link_is_as_requested_or_not_measured_whatever_the_delay_and_however_late_the_machine(late_ms):
    for seed, impairments in enumerate(all_impairments()):
        found = reordered(impairments, seed=seed, late_ms=late_ms)
        assert found.passed, (impairments, found)
        assert found.verdict == AS_REQUESTED or found.verdict.startswith("not measured: ")


@pytest.mark.parametrize("delay_ms", [2, 3, 5, 10, 20])
def test_a_visible_share_is_measured(delay_ms):
    impairments = Impairments(delay_ns=delay_ms * MS, reorder=Reorder(event=RandomEvent(probability=percent(20))))
    right = reordered(impairments)
    assert right.verdict == AS_REQUESTED
    assert right.measured == pytest.approx(0.2, abs=0.06)
    assert reordered(impairments, probability=0.02).verdict == "too low"
    assert reordered(impairments, probability=0.5).verdict == "too high"


def test_a_share_that_is_not_visible_is_not_measured_with_the_reason():
    near = Impairments(delay_ns=MS, reorder=Reorder(event=RandomEvent(probability=percent(20))))
    assert reordered(near).verdict == "not measured: packets leave their place by 1 ms, too little to tell"
    loose = Impairments(
        delay_ns=20 * MS,
        jitter=Jitter(ns=5 * MS, keeps_order=False),
        reorder=Reorder(event=RandomEvent(probability=percent(20))),
    )
    assert reordered(loose).verdict == "not measured: the jitter changes the order too"
    everything = Impairments(delay_ns=20 * MS, reorder=Reorder(event=RandomEvent(probability=CERTAIN)))
    assert reordered(everything).verdict == "not measured: all leave their place alike"


@pytest.mark.parametrize("share", [20, 80, 97])
@pytest.mark.parametrize("delay_ms", [1, 2, 20])
def test_the_delay_is_measured_from_packets_in_their_place(share, delay_ms):
    impairments = Impairments(delay_ns=delay_ms * MS, reorder=Reorder(event=RandomEvent(probability=percent(share))))
    delay = next(each for each in judge(impairments, crossed(impairments), level=LEVEL) if each.name == "delay")
    assert delay.passed
    assert delay.measured is None or delay.measured == pytest.approx(delay_ms * MS, abs=MS)
