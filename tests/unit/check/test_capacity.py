"""What a trace lets pass in a window, beside counting."""

from hypothesis import given
from hypothesis import strategies as st

from testbed.check.capacity import bounds, mean_bps
from testbed.impairments import Opportunities, Times


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(0, 4), st.integers(1, 40))
def test_the_bounds_are_those_of_counting_every_window(times, further, length):
    times = sorted(times)
    trace = Opportunities(times_ns=Times(times), frame_bytes=1, period_ns=max(times[-1], 1) + further)
    all_times = [round_ * trace.period_ns + time for round_ in range(45) for time in times]
    counts = [
        sum(start <= time < start + length for time in all_times)
        for start in range(trace.period_ns, 2 * trace.period_ns)
    ]
    assert bounds(trace, length) == (8 * min(counts), 8 * max(counts))
    assert mean_bps(trace) == 8 * len(times) * 10**9 / trace.period_ns
