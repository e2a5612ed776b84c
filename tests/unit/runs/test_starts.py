"""When workloads began, and what flows of one kind got together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import codec
from testbed.runs import RunWriter, StepStart, load
from testbed.runs.flows import sums
from testbed.workloads.summary import Summary

MS = 1_000_000


@given(late_ns=st.dictionaries(st.text(min_size=1), st.integers(0, 10**10), max_size=5))
def test_a_start_tells_how_far_apart_workloads_began(late_ns):
    start = StepStart(start_ns=10**15, began_ns={name: 10**15 + late for name, late in late_ns.items()})
    assert start.spread_ns == max(late_ns.values(), default=0) - min(late_ns.values(), default=0)
    assert codec.decode(json.loads(json.dumps(codec.encode(start))), StepStart) == start
    assert (start.remark is not None) == (max(late_ns.values(), default=0) > 50 * MS)


def test_a_late_start_is_described_in_a_sentence():
    start = StepStart(start_ns=0, began_ns={"a": 1 * MS, "b": 63 * MS})
    assert start.remark == "2 workloads began 62 ms apart; the last, b, 63 ms late"
    assert StepStart(start_ns=0, began_ns={"a": 63 * MS}).remark == "a began 63 ms late"


def test_a_run_keeps_the_starts_of_its_steps(tmp_path, plan):
    start = StepStart(start_ns=5 * MS, began_ns={"voice": 6 * MS})
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.started(start)
        writer.finished([], [])
    assert load(writer.run.path).starts == (start,)
    assert json.loads((writer.run.path / "run.json").read_text())["starts"][0]["spread_ns"] == 0


def summary(workload, goodput_bps, kind="udp-stream", delivered_bytes=1000):
    values = {"goodput_bps": goodput_bps, "delivered_bytes": delivered_bytes}
    return Summary(workload=workload, kind=kind, values=values, missing={})


A, B, C = "abc"


@given(shares=st.lists(st.floats(1, 1e10), min_size=2, max_size=20))
def test_the_sum_and_fairness_of_flows(shares):
    stage = [str(number) for number in range(len(shares))]
    [found] = sums([stage], [summary(one, share) for one, share in zip(stage, shares, strict=True)])
    assert found.goodput_bps == pytest.approx(sum(shares))
    assert 1 / len(shares) - 1e-9 <= (found.jain or 0) <= 1 + 1e-9


def test_equal_flows_are_fair_and_one_that_got_nothing_counts():
    [equal] = sums([[A, B]], [summary(A, 5.0), summary(B, 5.0)])
    assert equal.jain == pytest.approx(1)
    [starved] = sums([[A, B]], [summary(A, 5.0), summary(B, None, delivered_bytes=0)])
    assert starved.goodput_bps == 5.0
    assert starved.jain == pytest.approx(0.5)


def test_only_flows_of_one_kind_that_ran_together_are_summed():
    apart = [summary(A, 1.0), summary(B, 1.0)]
    assert sums([[A], [B]], apart) == ()
    assert sums([[A, B]], [summary(A, 1.0), summary(B, 1.0, kind="tcp-stream")]) == ()
    assert sums([[A, B]], [summary(A, 1.0), summary(B, None)]) == ()  # how much is not known
    found = sums([[A, B, C]], [*apart, summary(C, 1.0, kind="tcp-stream")])
    assert [(each.kind, each.workloads) for each in found] == [("udp-stream", ("a", "b"))]
