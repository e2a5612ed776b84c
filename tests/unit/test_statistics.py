import math
from random import Random
from statistics import fmean

import pytest

from testbed import statistics


def there(interval):
    """An interval that there must be."""
    assert interval is not None
    return interval


def test_tests_and_intervals_agree_with_r():
    assert statistics.binomial_test(9, 24, 1 / 6) == pytest.approx(0.01176, rel=5e-4)
    assert statistics.clopper_pearson(9, 24, 0.95) == pytest.approx((0.1879929, 0.5940636), rel=1e-6)
    assert statistics.binomial_test(1, 1497, 0.0033) == pytest.approx(0.1062, rel=5e-4)
    assert statistics.clopper_pearson(1, 1497, 0.90) == pytest.approx((3.426347e-5, 3.164954e-3), rel=1e-6)


def test_the_interval_of_none_and_of_all_is_that_of_the_closed_form():
    assert statistics.clopper_pearson(0, 30, 0.95) == pytest.approx((0.0, 1 - 0.025 ** (1 / 30)))
    assert statistics.clopper_pearson(30, 30, 0.95) == pytest.approx((0.025 ** (1 / 30), 1.0))


@pytest.mark.parametrize(
    ("count", "probability", "expected"), [(0, 0.0, 1.0), (1, 0.0, 0.0), (9, 1.0, 0.0), (10, 1.0, 1.0)]
)
def test_one_exception_refutes_a_probability_of_0_or_1(count, probability, expected):
    assert statistics.binomial_test(count, 10, probability) == expected


def test_a_quantile_lies_between_its_neighbours():
    assert statistics.quantile([10, 20, 30, 40], 0.5) == 25
    assert statistics.quantile([10, 20, 30], 0.25) == 15
    assert statistics.quantile([10], 0.75) == 10


def test_the_interval_of_a_median_is_the_tabulated_one():
    # David and Nagaraja's table: of 10 values the 2nd and the 9th enclose the median with 97.9 %.
    assert statistics.quantile_interval(range(1, 11), 0.5, 0.978) == (2, 9)
    assert statistics.quantile_interval(range(1, 11), 0.5, 0.98) == (1, 10)


def test_a_small_sample_bounds_no_quartile():
    assert statistics.quantile_interval([1, 2, 3], 0.25, 0.99) == (-math.inf, math.inf)
    low, high = statistics.quantile_interval(range(10), 0.25, 0.99)
    assert low == -math.inf
    assert high < 10


def test_a_sample_of_the_distribution_is_at_no_distance():
    asked = range(1000)
    assert statistics.distance_beyond(range(0, 1000, 10), asked, early=0, late=0) <= 0.01
    assert statistics.distance_test(0.01, 100) == 1


def test_the_distance_is_the_greatest_difference_of_shares():
    asked = [value / 1000 for value in range(1000)]
    shifted = [value + 0.3 for value in asked]
    assert statistics.distance_beyond(shifted, asked, early=0, late=0) == pytest.approx(0.3, abs=0.002)
    assert statistics.distance_beyond(shifted, asked, early=0, late=0.3) == pytest.approx(0, abs=0.002)
    assert statistics.distance_beyond(shifted, asked, early=0.3, late=0) == pytest.approx(0.3, abs=0.002)
    sooner = [value - 0.3 for value in asked]
    assert statistics.distance_beyond(sooner, asked, early=0.1, late=9) == pytest.approx(0.2, abs=0.002)
    assert statistics.distance_test(0.3, 100) == pytest.approx(2 * math.exp(-18))


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),  # tables of any textbook
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.95, 5, 2.015), (0.995, 29, 2.756), (0.75, 1, 1.0)],
)
def test_quantiles_of_t_are_those_of_tables(probability, freedom, quantile):
    assert statistics.t_quantile(probability, freedom) == pytest.approx(quantile, abs=5e-4)


def test_an_estimate_of_five_runs():
    estimate = statistics.Estimate.of([4, 5, 6, 5, 5], statistics.LINEAR, 0.95)
    assert estimate is not None
    assert estimate.mean == 5
    assert estimate.interval == pytest.approx((5 - 0.878, 5 + 0.878), abs=1e-3)  # 2.776 * sqrt(0.5 / 5)


def test_on_a_logarithmic_scale_the_interval_is_a_factor_either_way():
    low, high = there(statistics.mean_interval([4, 5, 6, 5, 5], statistics.LOG, 0.95))  # 0.878 of 5, as above
    assert (low, high) == pytest.approx((5 / math.exp(0.878 / 5), 5 * math.exp(0.878 / 5)), abs=1e-3)


@pytest.mark.parametrize("values", [[], [3.5], [1, 9]])
def test_fewer_than_three_values_have_no_interval(values):
    assert statistics.mean_interval(values, statistics.LOG, 0.95) is None
    assert statistics.difference_interval(values, [1, 2, 3], statistics.LOG, 0.95) is None


@pytest.mark.parametrize(
    ("scale", "draw", "mean"),
    [
        (statistics.LINEAR, lambda random: random.gauss(7, 2), 7),
        (statistics.LOG, lambda random: max(0, random.gauss(7, 2)), 7),
        (statistics.LOGIT, lambda random: sum(random.random() < 0.02 for _ in range(200)) / 200, 0.02),
    ],
)
@pytest.mark.parametrize("size", [3, 4, 8])
def test_intervals_of_means_cover_the_truth_as_often_as_they_say(scale, draw, mean, size):
    random = Random(1)
    covered = 0
    for _ in range(1000):
        low, high = there(statistics.mean_interval([draw(random) for _ in range(size)], scale, 0.95))
        covered += low <= mean <= high
    assert 0.92 < covered / 1000 < 0.98  # four standard errors


@pytest.mark.parametrize("scale", [statistics.LINEAR, statistics.LOG])
@pytest.mark.parametrize("size", [3, 5])
def test_difference_intervals_exclude_zero_no_more_often_than_stated(scale, size):
    random = Random(2)
    missed = 0
    for _ in range(1000):
        before, after = ([random.lognormvariate(3, 0.3) for _ in range(size)] for _ in range(2))
        low, high = there(statistics.difference_interval(before, after, scale, 0.99))
        missed += not low <= 0 <= high
    assert missed / 1000 < 0.0226  # four standard errors


def test_the_slope_of_a_power_law_is_its_exponent():
    x = [0.001, 0.01, 0.02, 0.05]
    assert statistics.log_slope(x, [3 * value**-0.5 for value in x]) == pytest.approx(-0.5)
    random = Random(2)
    slopes = (statistics.log_slope(x, [value**-0.5 * random.uniform(0.9, 1.1) for value in x]) for _ in range(200))
    assert fmean(slopes) == pytest.approx(-0.5, abs=0.01)


def test_jains_index():
    assert statistics.jain([5, 5, 5]) == pytest.approx(1)
    assert statistics.jain([5, 0]) == 0.5
    assert statistics.jain([0, 0]) is None
