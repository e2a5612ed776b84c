"""The formulas against slow and obvious versions of them, and their laws."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.endpoint.columns import decode, encode
from testbed.workloads.metrics import jitter_ns, percentile, percentiles, rate_bps

times = st.integers(min_value=0, max_value=10**12)


@given(st.lists(times, min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(values, percent):
    found = percentile(sorted(values), percent)
    enough = [value for value in values if 100 * sum(other <= value for other in values) >= percent * len(values)]
    assert found == min(enough)


@given(st.lists(st.integers(-1000, 10**15), min_size=1), st.lists(st.integers(1, 100), max_size=5))
def test_percentiles_in_no_order_are_those_in_order(values, percents):
    assert percentiles(values, percents) == [percentile(sorted(values), percent) for percent in percents]


def test_percentiles_of_a_hundred():
    assert [percentile(range(1, 101), percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([5], 50) == percentile([5], 99) == 5


@given(st.integers(2, 100), times)
def test_a_constant_delay_is_no_jitter_and_its_size_does_not_matter(count, delay):
    assert jitter_ns([delay] * count) == 0


@given(st.lists(times, min_size=2))
def test_jitter_is_at_most_the_largest_change_of_delay(delays):
    changes = [abs(later - earlier) for earlier, later in pairwise(delays)]
    jitter = jitter_ns(delays)
    assert jitter is not None
    assert 0 <= jitter <= max(changes) * (1 + 1e-9)


def test_jitter_takes_a_sixteenth_of_each_change():
    assert jitter_ns([5, 21, 21]) == pytest.approx(15 / 16)  # changes 16, 0
    assert jitter_ns([5]) is None
    assert jitter_ns([]) is None


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_rate_times_its_time_is_the_amount(size, duration):
    rate = rate_bps(size, duration)
    assert rate is not None
    assert rate * duration / 8e9 == pytest.approx(size)


def test_no_rate_over_no_time():
    assert rate_bps(1000, 0) is None


@given(st.lists(st.integers(-(1 << 62), (1 << 62) - 1)))
def test_coded_columns_decode_to_what_they_were(values):
    assert decode(encode(values)) == array("q", values)
