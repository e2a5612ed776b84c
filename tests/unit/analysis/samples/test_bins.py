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
