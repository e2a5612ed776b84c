"""The common start of workloads: it is after all are ready, and all get the same instant or the same reason."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import LabError
from testbed.workloads.errors import WorkloadError
from testbed.workloads.start_barrier import StartBarrier

MS = 1_000_000


@settings(max_examples=20)
@given(delays_ms=st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_all_get_one_start_which_is_after_the_last_was_ready(delays_ms):
    chosen: list[tuple[int, int]] = []
    start = StartBarrier(len(delays_ms), monotonic_ns, lambda at_ns: chosen.append((at_ns, monotonic_ns())))
    ready: list[int] = []

    def work(delay_ms):
        time.sleep(delay_ms / 1000)
        ready.append(monotonic_ns())
        return start.wait()

    with ThreadPoolExecutor(len(delays_ms)) as pool:
        starts = set(pool.map(work, delays_ms))
    assert starts == {start.at_ns}
    [(at_ns, told_ns)] = chosen
    assert start.at_ns == at_ns > max(ready)
    assert told_ns >= max(ready)


def test_the_clock_is_that_of_the_nodes():
    assert StartBarrier(1, lambda: 10**18).wait() - 10**18 in range(500 * MS)


def test_a_workload_that_never_gets_ready_cancels_the_start():
    start = StartBarrier(3, monotonic_ns)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(start.wait) for _ in range(2)]
        start.cancel()
    for each in waiting:
        with pytest.raises(WorkloadError, match="start-cancelled"):
            each.result()
    assert start.at_ns is None


def test_all_workloads_get_the_reason_of_a_missing_start():
    def refuse(_start_ns):
        raise LabError("agent-gone", "the lab's agent has ended")

    start = StartBarrier(3, monotonic_ns, refuse)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(start.wait) for _ in range(3)]
    for each in waiting:
        with pytest.raises(LabError, match="agent-gone"):
            each.result()
    assert start.at_ns is None
