from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.endpoint.patience import SECOND, STALL_NS, stall_ns


def test_a_stall_is_eight_retransmissions_long():
    assert stall_ns(0) == STALL_NS == 60 * SECOND
    assert stall_ns(40_000_000) == 60 * SECOND
    assert stall_ns(200_000_000) == (0.2 + 0.6 * 127 + 0.6 * 128) * SECOND
    assert stall_ns(2 * SECOND) == (2 + 6 + 12 + 24 + 48 + 96 + 3 * 120) * SECOND


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_longer_path_has_no_less_time_and_always_enough_for_a_round_trip(one, other):
    shorter, longer = sorted((one, other))
    assert stall_ns(shorter) <= stall_ns(longer)
    assert stall_ns(longer) > longer
