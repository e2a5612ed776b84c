"""What groups of nodes and matrices promise on every runtime, measured by ping."""

import pytest

from testbed.lab import Lab, take_down
from testbed.report.facts import facts
from testbed.topology import load
from tests.contract.labs import assert_quickest
from tests.runtimes import RUNTIMES

TOPOLOGY = """
name: groups
nodes: {eu: {count: 2}, us: {count: 2}, hub: }
links:
  - {between: [eu, us], matrix: delays.csv}
  - {between: [eu-2, hub], delay: 25ms}
  - {from: us, to: hub, delay: 7ms}
workloads:
  - {name: rpc, kind: udp-rr, from: eu, to: hub, count: 20}
  - {name: where, kind: command, in: us, command: [hostname]}
timeline:
  - {at: 100ms, link: {between: [us, hub]}, delay: 1ms}
expect:
  - rpc.latency.min.max >= 50ms
  - rpc-eu-1.latency.min < 50ms
  - rpc.delivered.sum == 40
  - where.lines.sum == 2
"""

DELAYS = "from-to, eu, us\neu, 3ms, 40ms\nus, 10ms,\n"

# In one direction; the link back may have another delay, or none.
ROUND_TRIPS_MS = {
    ("eu-1", "eu-2"): 6,
    ("eu-1", "us-2"): 50,
    ("us-1", "us-2"): 0,
    ("hub", "eu-2"): 50,
    ("us-1", "hub"): 7,
}


@pytest.fixture(params=RUNTIMES)
def lab(request, lab_name, tmp_path):
    """A lab with groups, on each runtime."""
    (tmp_path / "delays.csv").write_text(DELAYS)
    (tmp_path / "groups.yml").write_text(TOPOLOGY)
    yield Lab.up(load(tmp_path / "groups.yml"), name=lab_name, runtime=request.param)
    take_down(lab_name)


def test_members_are_as_far_apart_as_their_groups(lab, tmp_path):
    for (source, destination), expected_ms in ROUND_TRIPS_MS.items():
        assert_quickest(lab[source], destination, expected_ms - 0.5, expected_ms + 5)
    assert [node.name for node in lab.members("us")] == ["us-1", "us-2"]

    run = lab.run(tmp_path / "results")
    assert [outcome.passed for outcome in run.outcomes] == [True] * 4, run.outcomes
    assert len(run.timeline) == 1
    assert {summary.workload for summary in run.summaries} == {
        "rpc-eu-1", "rpc-eu-2", "where-us-1", "where-us-2"
    }  # fmt: skip
    assert [group.workload for group in run.groups] == ["rpc", "where"]
    assert run.summary("rpc").number("delivered.min") == 20
    # A report has the metrics of a group as a few columns, and those of each member folded below.
    details = facts(run)
    columns = [name for part in details["metrics"] for name in part["head"][1:]]
    assert columns == [f"{group} {how}" for group in ("rpc", "where") for how in ("least", "median", "greatest")]
    folded = {
        group["name"]: [name for part in group["metrics"] for name in part["head"][1:]] for group in details["groups"]
    }
    assert folded == {"rpc": ["rpc-eu-1", "rpc-eu-2"], "where": ["where-us-1", "where-us-2"]}
