"""Tables of quantiles that both engines draw the deviation of delays from."""

from statistics import fmean, pstdev

import pytest

from testbed.impairments.distributions import ENTRIES, FURTHEST, SCALE, quantiles, standardised


@pytest.mark.parametrize("distribution", ["normal", "pareto", "paretonormal"])
def test_draws_have_mean_0_and_standard_deviation_1(distribution):
    table = quantiles(distribution)
    assert len(table) == ENTRIES
    assert table == tuple(sorted(table))
    assert max(map(abs, table)) <= FURTHEST
    assert abs(fmean(table)) < 1
    assert pstdev(table) == pytest.approx(SCALE, rel=1e-4)


def test_a_normal_table_is_symmetric():
    table = quantiles("normal")
    assert table == tuple(-entry for entry in reversed(table))
    assert table[round(0.8413 * ENTRIES)] == pytest.approx(SCALE, rel=0.01)


def test_a_pareto_table_has_its_body_below_the_mean_and_a_long_tail_above():
    table = quantiles("pareto")
    assert table[ENTRIES // 2] < 0
    assert table[0] > -SCALE
    assert table[-1] == FURTHEST


def test_uniform_needs_no_table():
    assert quantiles("uniform") == ()


def test_a_given_table_is_its_own():
    assert quantiles((-5, 0, 5)) == (-5, 0, 5)


def test_measured_values_keep_their_places_between_each_other():
    assert standardised([30, 10, 20]) == (-10033, 0, 10033)


def test_many_values_become_one_table_of_their_quantiles():
    table = standardised([float(value) for value in range(100_000)])
    assert len(table) == ENTRIES
    assert pstdev(table) == pytest.approx(SCALE, rel=1e-4)


@pytest.mark.parametrize("values", [[7.0], [7.0] * 50])
def test_values_without_a_spread_are_refused(values):
    with pytest.raises(ValueError, match="all the same"):
        standardised(values)


def test_delays_that_differ_only_in_one_outlier_are_refused():
    with pytest.raises(ValueError, match="a few values"):
        standardised([1.0] * 999 + [2.0])
