"""The offset of another machine's clock, from bounds."""

from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.client import ClockOffset

NS = st.integers(-(1 << 60), 1 << 60)


@given(NS, NS)
def test_the_true_offset_is_within_the_uncertainty(one, other):
    least, most = sorted((one, other))
    found = ClockOffset.between(least, most)
    for true in (least, (least + most) // 2, most):
        assert abs(true - found.offset_ns) <= found.uncertainty_ns


def test_clocks_that_may_be_the_same_are():
    assert ClockOffset.between(-200, 300) == ClockOffset(0, 300)
    assert ClockOffset.between(1_000, 1_300) == ClockOffset(1_150, 150)
