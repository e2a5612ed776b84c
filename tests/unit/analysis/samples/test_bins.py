import random

import pytest

from testbed.analysis.samples.bins import Bins, Distribution


def test_bins_stay_few_and_lose_nothing():
    bins = Bins(1, limit=10)
    for position in range(1000, 2000):
        bins.add(position, position % 7)
    found = list(bins)
    assert len(found) <= 10
    assert sum(one.count for one in found) == 1000
    assert sum(one.total for one in found) == sum(position % 7 for position in range(1000, 2000))
    assert {(one.low, one.high) for one in found} == {(0, 6)}
    assert [one.start for one in found] == [1000 + number * bins.width for number in range(len(found))]


def test_values_before_the_first_position_have_a_bin():
    bins = Bins(10)
    bins.add(100, 1)
    bins.add(85, 3)
    assert [(one.start, one.mean) for one in bins] == [(80, 3), (100, 1)]


def test_a_bin_tells_the_least_mean_and_greatest():
    bins = Bins(10)
    for value in (5, 1, 9):
        bins.add(0, value)
    (only,) = bins
    assert (only.low, only.mean, only.high) == (1, 5, 9)


def test_distribution_counts_greater_values():
    distribution = Distribution()
    for value in (1, 1, 2, 5):
        distribution.add(value)
    assert distribution.greater() == [(1, 2), (2, 1), (5, 0)]


@pytest.mark.parametrize("value", [0, 1, 2047, 2048, 40_123_456, 10**12])
def test_distribution_is_exact_to_one_in_a_thousand(value):
    distribution = Distribution()
    distribution.add(value)
    ((found, greater),) = distribution.greater()
    assert greater == 0
    assert found <= value <= found * (1 + 1 / 1000)


def test_values_out_of_order_are_in_the_same_bins_as_in_order():
    chance = random.Random(1)
    values = [(position, chance.randrange(1000)) for position in range(5000)]
    shuffled = values[:1] + chance.sample(values[1:], len(values) - 1)
    few_swapped = [*values]
    few_swapped[2000], few_swapped[3000] = few_swapped[3000], few_swapped[2000]
    found = []
    for order in (values, shuffled, few_swapped):
        bins = Bins(7, limit=100)
        for start in range(0, len(order), 1000):
            bins.extend(*zip(*order[start : start + 1000], strict=True))
        found.append([*bins])
    assert found[0] == found[1] == found[2]


def test_a_distribution_of_many_magnitudes_is_that_of_its_values_one_by_one():
    chance = random.Random(2)
    values = [chance.randrange(-5, 1 << chance.randrange(1, 60)) for _ in range(3000)]
    together, single = Distribution(), Distribution()
    together.extend(values)
    for value in values:
        single.add(value)
    assert together.greater() == single.greater()
    assert together.count == 3000
