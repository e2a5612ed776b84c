"""Which values are numbers, and what goes where in a plot."""

import pytest

from testbed.sweep.scale import Layout, is_wide, scale


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
def test_others_are_none(levels):
    assert scale(levels) is None


def test_logarithms_are_for_what_is_positive_and_far_apart():
    assert is_wide([1, 8])
    assert not is_wide([1, 7])
    assert not is_wide([0, 1, 100])
    assert not is_wide([])


def test_numbers_are_along_the_axis_the_next_factor_are_curves_the_rest_panels(make):
    matrix = make("workloads.flow.congestion=reno,bbr", "links[0].loss=5%,0.1%,1%", "links[0].delay=1ms,2ms")
    layout = Layout.of(matrix)
    assert (layout.x, layout.of_curves, layout.of_panels) == (
        "links[0].loss",
        "workloads.flow.congestion",
        ("links[0].delay",),
    )
    assert layout.is_logarithmic
    curves = layout.curves(matrix)
    assert len(curves) == 4
    assert [cell.levels["links[0].loss"] for cell in curves[0].cells] == ["0.1%", "1%", "5%"]


def test_words_are_beside_each_other_in_their_order(make):
    matrix = make("workloads.flow.congestion=reno,bbr,cubic", "links[0].loss=1%")
    layout = Layout.of(matrix)
    assert (layout.x, layout.scale, layout.of_curves) == ("workloads.flow.congestion", None, None)
    [curve] = layout.curves(matrix)
    assert [layout.at(cell, matrix.factors[layout.x]) for cell in curve.cells] == [0, 1, 2]
    assert not layout.is_logarithmic


def test_one_cell_has_a_layout(make):
    assert Layout.of(make("links[0].loss=1%")).x == "links[0].loss"
