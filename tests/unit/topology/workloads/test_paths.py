"""What workloads make of the paths that they are to cross."""

from __future__ import annotations

import pytest

from testbed.matching import Packets
from testbed.plan import resolve
from testbed.plan.forwarding import longest_ns
from testbed.topology import TopologyError, loads

SECOND = 10**9


def file(link, workload, more=""):
    return (
        f"name: x\nnodes: {{a: , b: }}\nlinks: [{{between: [a, b], {link}}}]\n"
        f"workloads:\n  - {{name: w, from: a, to: b, {workload}}}\n{more}"
    )


def timeout_s(*parts):
    (workload,) = resolve(loads(file(*parts), "x.yml")).workloads
    return workload.number("timeout_ns") / SECOND


@pytest.mark.parametrize("kind", ["udp-rr", "dns, query: x"])
def test_a_timeout_that_is_not_given_follows_from_the_longest_round_trip(kind):
    kind = f"kind: {kind}"
    assert timeout_s("delay: 40ms", kind) == 1
    assert timeout_s("delay: 2s", kind) == 8
    assert timeout_s("delay: 2s", f"{kind}, timeout: 300ms") == 0.3
    assert timeout_s("rate: 1mbit, queue: 1MB", kind) == 2 * 2 * 8
    later = "timeline: [{at: 1s, link: {from: a, to: b}, delay: 3s, jitter: 1s}, {at: 2s, heal: all}]"
    assert timeout_s("delay: 1s", kind, later) == 2 * (3 + 1 + 1)


@pytest.mark.parametrize(
    "workload",
    [
        "kind: tcp-stream",
        "kind: tcp-rr",
        "kind: tcp-messages",
        "kind: http",
        "kind: iperf3",
        "kind: dns, query: x, transport: tcp",
    ],
)
def test_a_path_that_is_too_long_for_a_kind_is_refused_at_its_line(workload):
    with pytest.raises(TopologyError) as caught:
        loads(file("delay: 30001ms", workload), "x.yml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.code) == (5, "path-too-long")
    assert "a round trip of 60.002 s" in problem.message
    if "iperf3" not in workload:
        assert loads(file("delay: 30s", workload), "x.yml")


@pytest.mark.parametrize("workload", ["kind: udp-rr", "kind: ping", "kind: quic", "kind: udp-stream"])
def test_others_cross_any_path(workload):
    assert loads(file("delay: 90s", workload), "x.yml")


def test_workloads_that_run_together_are_refused_at_their_own_lines():
    text = file("delay: 40s", "kind: ping") + (
        "  - together:\n    - {name: v, from: a, to: b, kind: ping}\n    - {name: u, from: a, to: b, kind: tcp-rr}\n"
    )
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    assert [problem.line for problem in caught.value.problems] == [8]


def test_a_plan_has_the_longest_delay_at_any_time_of_the_timeline():
    later = "timeline: [{at: 1s, link: {from: a, to: b}, delay: 3s}, {at: 2s, heal: all}]"
    plan = resolve(loads(file("delay: 1s", "kind: ping", later), "x.yml"))
    assert (longest_ns(plan, "a", "b", Packets()), longest_ns(plan, "b", "a", Packets())) == (3 * SECOND, 1 * SECOND)
    assert longest_ns(resolve(loads("name: x\nnodes: {a: , b: }\n", "x.yml")), "a", "b", Packets()) == 0
