"""Means, intervals and exponents, against tables and by hand."""

from random import Random
from statistics import fmean

import pytest

from testbed.sweep.estimates import Estimate, slope, t_quantile


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),  # tables of any textbook
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.95, 5, 2.015), (0.995, 29, 2.756), (0.75, 1, 1.0)],
)
def test_quantiles_are_those_of_tables(probability, freedom, quantile):
    assert t_quantile(probability, freedom) == pytest.approx(quantile, abs=5e-4)


def test_an_estimate_of_five_runs():
    estimate = Estimate.of([4, 5, 6, 5, 5])
    assert estimate is not None
    assert estimate.mean == 5
    assert estimate.interval == pytest.approx((5 - 0.878, 5 + 0.878), abs=1e-3)  # 2.776 * sqrt(0.5 / 5)


def test_one_run_has_no_interval_and_none_no_estimate():
    assert Estimate.of([]) is None
    alone = Estimate.of([3.5])
    assert alone is not None
    assert (alone.mean, alone.interval) == (3.5, None)


def test_intervals_cover_the_truth_as_often_as_they_say():
    random = Random(1)
    covered = 0
    for _ in range(2000):
        estimate = Estimate.of([random.gauss(7, 2) for _ in range(4)])
        assert estimate is not None
        assert estimate.interval is not None
        covered += estimate.interval[0] <= 7 <= estimate.interval[1]
    assert 0.93 < covered / 2000 < 0.97  # four standard errors


def test_the_slope_of_a_power_law_is_its_exponent():
    x = [0.001, 0.01, 0.02, 0.05]
    assert slope(x, [3 * value**-0.5 for value in x]) == pytest.approx(-0.5)
    random = Random(2)
    found = fmean(slope(x, [value**-0.5 * random.uniform(0.9, 1.1) for value in x]) for _ in range(200))
    assert found == pytest.approx(-0.5, abs=0.01)
