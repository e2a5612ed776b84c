import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.results.report.axes import ONE, SECONDS, Linear, Logarithmic, rate_unit, time_unit

HIGH = st.floats(1e-3, 1e15)


@given(HIGH)
def test_a_linear_axis_has_few_round_ticks_and_room_for_all(high):
    axis = Linear.up_to(high)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 6
    assert axis.high >= high * (1 - 1e-6)
    assert axis.at(0) == 0
    assert axis.at(axis.high) == 1
    assert ticks[0] == (0, "0")


@given(st.floats(1, 1e9), st.floats(1.05, 1e6))
def test_a_logarithmic_axis_has_ticks_inside(low, ratio):
    axis = Logarithmic(low=low, high=low * ratio, unit=ONE)
    for value, label in axis.ticks():
        assert low * (1 - 1e-6) <= value <= low * ratio * (1 + 1e-6)
        assert float(label) == pytest.approx(value)
    assert axis.at(low * ratio) == pytest.approx(1)
    assert axis.at(low) == 0
    assert axis.at(low / 2) == 0


def test_ticks_are_written_in_the_axis_unit():
    assert Linear(low=0, high=3e9, unit=SECONDS).ticks()[-1] == (3e9, "3")


@pytest.mark.parametrize(("most", "name"), [(40e6, "ms"), (1.2e9, "ms"), (12e9, "s"), (900, "ns")])
def test_units_of_time_fit(most, name):
    assert time_unit(most).name == name


def test_units_of_rates_fit():
    assert rate_unit(4.7e6).name == "mbit/s"
