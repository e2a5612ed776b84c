"""Which values are numbers, and which are far apart."""

import pytest

from testbed.sweep.scale import is_wide, scale


@pytest.mark.parametrize(
    ("levels", "unit", "values"),
    [
        (["0%", "0.5%"], "ratio", [0, 0.005]),
        (["0", "5%"], "ratio", [0, 0.05]),
        (["1ms", "1s"], "ns", [10**6, 10**9]),
        (["64kbit", "1mbit"], "bit/s", [64_000, 10**6]),
        (["1KB", "1KiB"], "bytes", [1000, 1024]),
        (["0.5", "2"], "count", [0.5, 2]),
    ],
)
def test_quantities_of_one_kind_are_numbers(levels, unit, values):
    found = scale(levels)
    assert found is not None
    assert found.unit == unit
    assert list(found.values.values()) == pytest.approx(values, abs=1e-9)


@pytest.mark.parametrize("levels", [["reno", "bbr"], ["1ms", "1%"], ["1%", "{rate: 1%, burst: 4}"]])
def test_levels_of_different_kinds_have_no_scale(levels):
    assert scale(levels) is None


def test_a_logarithmic_axis_needs_positive_values_that_are_far_apart():
    assert is_wide([1, 8])
    assert not is_wide([1, 7])
    assert not is_wide([0, 1, 100])
    assert not is_wide([])
