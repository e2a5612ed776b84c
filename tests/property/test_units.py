from hypothesis import given
from hypothesis import strategies as st

from testbed.units import CERTAIN, DURATION, LARGEST, PROBABILITY, RATE, SIZE, parse_cpus

QUANTITIES = st.sampled_from([DURATION, RATE, SIZE])


@given(QUANTITIES, st.integers(0, LARGEST))
def test_what_is_written_reads_as_the_same(quantity, value):
    assert quantity.parse(quantity.format(value)) == value


@given(st.integers(0, CERTAIN))
def test_probabilities_too(value):
    assert PROBABILITY.parse(PROBABILITY.format(value)) == value


@given(st.integers(0, 10**9), st.sampled_from(list(enumerate(["ns", "us", "ms", "s"]))))
def test_units_are_a_thousand_apart(number, power_and_unit):
    power, unit = power_and_unit
    assert DURATION.parse(f"{number}{unit}") == number * 1000**power


@given(st.one_of(QUANTITIES, st.just(PROBABILITY)), st.text())
def test_any_text_is_a_quantity_or_a_value_error(quantity, text):
    try:
        value = quantity.parse(text)
    except ValueError as error:
        assert "\n" in text or text in str(error)  # noqa: PT017
    else:
        assert 0 <= value <= LARGEST


@given(st.text())
def test_any_text_is_a_number_of_cpus_or_a_value_error(text):
    try:
        assert parse_cpus(text) >= 0
    except ValueError as error:
        assert text in str(error)  # noqa: PT017
