import random
import statistics
from itertools import islice

import pytest

from testbed.check import expected, random_processes
from testbed.check.selection import ProbePackets
from testbed.impairments import (
    CERTAIN,
    Drop,
    Impairments,
    Jitter,
    RandomEvent,
    Reorder,
    distributions,
)

MS = 1_000_000


def shaky(**variation):
    return Impairments(delay_ns=100 * MS, jitter=Jitter(ns=20 * MS, **variation))


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_delays_are_those_of_the_distribution(distribution):
    delays = expected.in_place_ns(shaky(distribution=distribution))
    spread = 20 * MS / 3**0.5 if distribution == "uniform" else 20 * MS
    assert statistics.fmean(delays) == pytest.approx(100 * MS, rel=0.001)
    assert statistics.pstdev(delays) == pytest.approx(spread, rel=0.001)
    assert sorted(delays) == [*delays]


def test_correlated_delays_spread_less():
    """As draws do that are mixed with the one before: here by another generator than the one that is used."""
    half = shaky(correlation=CERTAIN // 2)
    rng, last, draws = random.Random(9), 0.5, []
    for _ in range(50_000):
        last = (last + rng.random()) / 2
        draws.append(80 * MS + last * 40 * MS)
    delays = expected.in_place_ns(half)
    assert statistics.pstdev(delays) == pytest.approx(statistics.pstdev(draws), rel=0.02)
    assert expected.thinning(half) == 5


def test_packets_are_never_early():
    pareto = Impairments(delay_ns=10 * MS, jitter=Jitter(ns=10 * MS, distribution="normal"))
    assert expected.in_place_ns(pareto)[0] == 0
    furthest = distributions.quantiles("normal")[-1] / distributions.SCALE
    assert expected.longest_ns(pareto) == pytest.approx(10 * MS * (1 + furthest), abs=1)


def test_a_gap_makes_reordering_rarer():
    reorder = Reorder(event=RandomEvent(probability=CERTAIN // 2), gap=3)
    rng = random.Random(4)
    chosen, since = 0, 0
    for _ in range(30_000):  # net/sched/sch_netem.c, netem_enqueue
        if since < 2 or rng.random() >= 0.5:
            since += 1
        else:
            chosen, since = chosen + 1, 0
    assert expected.of(Impairments(delay_ns=20 * MS, reorder=reorder)).displaced.rate == pytest.approx(
        chosen / 30_000, rel=0.03
    )


@pytest.mark.parametrize(
    ("drop", "most"),
    [
        (Drop(numbers=(3, 17)), 2),
        (Drop(protocol="udp", every=50), 21),
        (Drop(protocol="udp", port=61_000, every=50, numbers=(1,)), 22),
        (Drop(protocol="udp", port=5000, every=50), 0),
        (Drop(protocol="tcp", flags="s", numbers=(1,)), 0),
        (Drop(protocol="icmp", every=2), 0),
    ],
)
def test_scripts_hit_probes_that_they_match(drop, most):
    assert expected.scripted((drop,), 1000, ProbePackets(None, 61_000, 61_000, 0)) == most


def test_mixed_draws_stay_within_the_unit():
    assert all(0 <= draw < 1 for draw in islice(random_processes.mixed(CERTAIN // 2), 1000))
