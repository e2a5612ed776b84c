import math

import pytest

from testbed.check import statistics


def test_test_and_interval_give_what_r_gives():
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
def test_of_what_never_or_always_happens_one_exception_is_too_many(count, probability, expected):
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


def test_the_standard_deviation_and_its_interval():
    sample = [1, 2, 3, 4, 5]
    assert statistics.deviation(sample) == pytest.approx(math.sqrt(2.5))
    assert statistics.deviation([7]) == 0
    low, high = statistics.deviation_interval(sample, 0.99)
    assert low < math.sqrt(2.5) < high
    assert statistics.deviation_interval([7] * 9, 0.99) == (0, 0)
