"""The kernel engine one way, the userspace engine the other: the same impairments make the same network with both."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from msgspec import structs

from testbed.engines.netem import fidelity
from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import (
    CERTAIN,
    FourState,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    RandomEvent,
)
from tests.live.netem.alike import Fates, differences, of_one_distribution
from tests.live.netem.conftest import Arrival
from tests.live.netem.random_impairments import JITTER, all_impairments_of, random_file

MS = 1_000_000
SHAPES = all_impairments_of(random_file(seed=2))
FLUKE = 0.001
"""The probability that any of these tests fails of engines that do the same, shared by all tested properties."""

LATENESS_NS = 3 * MS
"""How much later than the other an engine may be. That is what a slow machine adds, and little beside the jitter."""

ATTEMPTS = 3
"""What differs in delays only may be a machine that stood still; a loss or a copy that differs is none."""

by_impairments = pytest.mark.parametrize("impairments", SHAPES, ids=[impairments.describe() for impairments in SHAPES])


def is_unlikely(found):
    """The properties that differ."""
    return {name: p for name, p in found.items() if p < FLUKE / (len(SHAPES) * 5)}


def compare(impairments, send):
    """What differs between two engines: packets with gaps between for delays, as fast as it goes for counts."""
    count, gap_s, lateness_ns = (1500, 0.001, LATENESS_NS) if impairments.jitter_ns else (5000, 0, math.inf)
    with ThreadPoolExecutor(2) as at_once:  # whatever else this machine does, it does to both
        one, other = at_once.map(lambda way: Fates.of(count, send(count, gap_s, way)), (0, 1))
    return differences(
        one, other, lateness_ns=lateness_ns, bursty=isinstance(impairments.loss, GilbertElliott | FourState)
    )


def between(path):
    """Sends packets over the real links."""
    return lambda count, gap_s, way: path.send(count, gap_s=gap_s, back=bool(way))


@by_impairments
@pytest.mark.netem
def test_the_same_impairments_make_the_same_network(path, both, impairments):
    assert fidelity.supports(impairments, mtu=1500) is None
    assert fidelity.compromises(impairments, mtu=1500) is None
    both(impairments)
    for _ in range(ATTEMPTS):
        different = is_unlikely(compare(impairments, between(path)))
        if different.keys() != {"delay"}:
            break
    assert not different


def emulated(*all_impairments):
    """Sends packets over two links in virtual time."""

    def send(count, gap_s, way):
        link = LinkEmulator(all_impairments[way], seed=way, now=0)
        for number in range(count):
            link.accept([number.to_bytes(8, "big") * 8], sent_ns(number, gap_s))
        while (now := link.next_wakeup()) is not None:
            for packet in map(contents, link.release(now, 1)):
                number = int.from_bytes(packet[:8], "big")
                yield Arrival(number, sent_ns(number, gap_s), now)

    def sent_ns(number, gap_s):
        return round(number * max(gap_s, 1e-5) * 1e9)

    return lambda *what: list(send(*what))


def others(impairments):
    """Shapes that differ in one property; its name, and the impairments."""
    if jitter := impairments.jitter:
        following = JITTER[(JITTER.index(jitter.distribution) + 1) % len(JITTER)]
        yield "delay", replace(impairments, delay_ns=impairments.delay_ns * 11 // 10)
        yield "delay", replace(impairments, jitter=replace(jitter, ns=jitter.ns * 2 // 3))
        yield "delay", replace(impairments, jitter=replace(jitter, distribution=following))
    if impairments.duplicate:
        yield "copies", replace(impairments, duplicate=RandomEvent(probability=impairments.duplicate.probability * 2))
    match impairments.loss:
        case IndependentLoss(probability=probability):
            yield "loss", replace(impairments, loss=IndependentLoss(probability=probability * 2))
        case GilbertElliott() as model:
            yield "losses in a row", replace(impairments, loss=structs.replace(model, to_good=model.to_good * 2))
            yield "arrivals in a row", replace(impairments, loss=structs.replace(model, to_bad=model.to_bad * 2))
        case FourState() as model:
            yield "losses in a row", replace(impairments, loss=structs.replace(model, p31=model.p31 * 2))
            yield "arrivals in a row", replace(impairments, loss=None)


@by_impairments
def test_equal_impairments_pass_the_comparison(impairments):
    assert not is_unlikely(compare(impairments, emulated(impairments, impairments)))


@by_impairments
def test_different_impairments_fail_the_comparison(impairments):
    for what, other in others(impairments):
        assert what in is_unlikely(compare(impairments, emulated(impairments, other))), other.describe()


def test_a_tenth_more_loss_is_found_in_many_packets():
    send = emulated(
        Impairments(loss=IndependentLoss(probability=CERTAIN // 5)),
        Impairments(loss=IndependentLoss(probability=CERTAIN // 5 * 11 // 10)),
    )
    one, other = (Fates.of(50_000, send(50_000, 0, way)) for way in (0, 1))
    assert "loss" in is_unlikely(differences(one, other, lateness_ns=math.inf, bursty=False))


NORMAL = Impairments(delay_ns=200 * MS, jitter=Jitter(ns=50 * MS, distribution="normal", keeps_order=False))
UNIFORM = replace(NORMAL, jitter=Jitter(ns=50 * MS, keeps_order=False))
FREQUENT, MORE_FREQUENT = (
    Impairments(loss=IndependentLoss(probability=CERTAIN * 40 // 100)),
    Impairments(loss=IndependentLoss(probability=CERTAIN * 50 // 100)),
)


@pytest.mark.netem
@pytest.mark.parametrize(
    ("what", "impairments", "other"),
    [("delay", NORMAL, UNIFORM), ("loss", FREQUENT, MORE_FREQUENT)],
    ids=["delay", "loss"],
)
def test_other_impairments_make_another_network(path, both, what, impairments, other):
    both(impairments, other)
    assert what in is_unlikely(compare(impairments, between(path)))


def test_the_test_tells_distributions_apart():
    """Samples of 1000 of the uniform and of its square; of the uniform and itself shifted by a hundredth."""
    even = [rank / 1000 for rank in range(1000)]
    assert of_one_distribution(even, [value**2 for value in even]) < 1e-9
    assert of_one_distribution(even, [value + 0.01 for value in even]) > 0.99
    assert of_one_distribution(even, [value + 0.0607 for value in even]) == pytest.approx(0.05, abs=0.005)
    assert of_one_distribution(even, [value + 0.0607 for value in even], lateness_ns=0.06) == 1
    assert of_one_distribution(even, []) == 0
