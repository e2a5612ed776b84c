"""Each kind of workload meets each delay, each loss and each family of IP; the whole grid is `make soak`."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tests.live import grid

pytestmark = pytest.mark.live

RUNTIMES = [
    pytest.param("netns", marks=pytest.mark.netns),
    pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.servers]),
]


def test_the_cells_are_pairwise():
    factors = {
        "name": tuple(grid.WORKLOADS),
        "delay_ms": grid.DELAYS_MS,
        "loss": grid.LOSSES,
        "family": grid.FAMILIES,
        "runtime": grid.RUNTIMES,
    }
    cells = [cell for runtime in grid.RUNTIMES for cell in grid.pairwise(runtime)]
    for one, other in combinations(factors, 2):
        met = {(getattr(cell, one), getattr(cell, other)) for cell in cells}
        assert met == set(product(factors[one], factors[other]))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_kind_ends_by_itself_with_figures_that_can_be_true(lab_name, runtime):
    assert grid.run(grid.pairwise(runtime), lab_name) == []
