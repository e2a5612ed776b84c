import pytest

from testbed.engines.userspace.lateness import LatenessHistogram


def test_an_empty_histogram_has_quantiles_of_zero():
    assert LatenessHistogram().quantile(0.5) == 0


@pytest.mark.parametrize("value", [*range(40), 127, 128, 1000, 12345, 10**6, 10**9, 2**40 + 1, 2**63 - 1])
def test_a_bucket_holds_its_value_and_is_at_most_a_quarter_wide(value):
    histogram = LatenessHistogram()
    histogram.record([value, 2**63 - 1])
    assert value <= histogram.quantile(0.5) <= value * 1.25


def test_quantiles_split_what_was_recorded():
    histogram = LatenessHistogram()
    histogram.record(list(range(1, 1001)))
    assert 500 <= histogram.quantile(0.5) <= 625
    assert 990 <= histogram.quantile(0.99) <= 1000
    assert histogram.quantile(1) == histogram.most == 1000


@pytest.mark.parametrize(
    ("first", "last", "count"), [(5, 5, 1), (100, 0, 11), (1000, 999, 40), (1 << 40, 3, 7), (0, 0, 3)]
)
def test_even_steps_are_counted_each(first, last, count):
    steps, each = LatenessHistogram(), LatenessHistogram()
    steps.record_steps(first, last, count)
    each.record([last + (first - last) * number // max(count - 1, 1) for number in range(count)])
    for histogram in (steps, each):
        histogram.record([2**50])
    assert [steps.quantile(part / 100) for part in range(101)] == [each.quantile(part / 100) for part in range(101)]
    assert steps.most == each.most


@pytest.mark.parametrize("exponent", [2, 10, 20])
def test_values_from_a_power_of_two_on_are_counted_exactly(exponent):
    histogram = LatenessHistogram()
    histogram.record([0, 1, 2**exponent - 1, 2**exponent, 2**exponent + 1, 2**40])
    assert histogram.at_least(exponent) == 3
