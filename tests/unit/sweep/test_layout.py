"""What goes where in a plot."""

from testbed.sweep.layout import ChartLayout


def test_numbers_are_along_the_axis_the_next_factor_are_curves_the_rest_panels(make):
    matrix = make("workloads.flow.congestion=reno,bbr", "links[0].loss=5%,0.1%,1%", "links[0].delay=1ms,2ms")
    layout = ChartLayout.of(matrix)
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
    layout = ChartLayout.of(matrix)
    assert (layout.x, layout.scale, layout.of_curves) == ("workloads.flow.congestion", None, None)
    [curve] = layout.curves(matrix)
    assert [layout.at(cell, matrix.factors[layout.x]) for cell in curve.cells] == [0, 1, 2]
    assert not layout.is_logarithmic


def test_one_cell_has_a_layout(make):
    assert ChartLayout.of(make("links[0].loss=1%")).x == "links[0].loss"
