"""The names of `import testbed`, and what a notebook does with them."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import testbed
from testbed import topology
from testbed.errors import UsageError
from testbed.plan import resolve
from testbed.topology import TopologyError
from testbed.workloads.summary import Summary

YAML = """
name: mine
nodes: {client: , server: {command: [sleep, "600"]}}
links:
  - {between: [client, server], delay: 40ms, loss: 2%}
"""
KEYS: dict[str, Any] = {
    "nodes": {"client": {}, "server": {"command": ["sleep", "600"]}},
    "links": [{"between": ["client", "server"], "delay": "40ms", "loss": "2%"}],
}


def test_names_are_there_and_imported_when_used():
    code = (
        "import sys, testbed; assert not [name for name in sys.modules if name.startswith('testbed.')]; "
        "print(testbed.Lab, testbed.Run, testbed.Topology, testbed.Node, testbed.Link); assert 'Lab' in dir(testbed)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.count("<class 'testbed.") == 5
    with pytest.raises(AttributeError, match="no attribute 'Lub'"):
        testbed.Lub  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("used", ["pytest.lab_fixture", "runs.load", "lab.Lab", "topology.load"])
def test_modules_are_imported_when_used(used):
    code = f"import testbed; print(testbed.{used})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_a_summary_says_what_it_has():
    values = {"goodput_bps.min": 1e6, "goodput_bps.sum": 3e6}
    group = Summary(workload="up", kind="tcp-stream", values=values, missing={})
    assert repr(group) == "<summary up (tcp-stream): goodput.min 1 mbit/s, goodput.sum 3 mbit/s>"
    assert group["goodput.sum"] == group.number("goodput_bps.sum") == 3e6
    with pytest.raises(AttributeError, match=r"up is of all members of a group; it has goodput.min, goodput.sum"):
        group.goodput  # noqa: B018


def test_a_topology_built_in_python_is_that_of_the_file():
    assert resolve(testbed.build("mine", **KEYS)) == resolve(topology.loads(YAML, "mine.yml"))
    assert isinstance(testbed.build("mine", **KEYS), testbed.Topology)


def test_errors_of_one_built_in_python_have_places_and_no_lines():
    with pytest.raises(TopologyError) as caught:
        testbed.build("mine", nodes=KEYS["nodes"], links=[{"between": ["client", "sevrer"], "delai": "40ms"}])
    said = str(caught.value)
    assert 'topology mine: unknown-node: links[0].between[1] names "sevrer", which is not a node' in said
    assert "links[0]" in said
    assert "delai" in said
    with pytest.raises(UsageError, match=r"bad-argument: topology 'mine': .*complex"):
        testbed.build("mine", nodes=KEYS["nodes"], seed=1j)


def test_paths_in_one_built_in_python(tmp_path):
    (tmp_path / "rates.csv").write_text("0s,1mbit\n1s,2mbit\n")
    link = {"between": ["client", "server"], "rate": {"trace": Path("rates.csv")}}
    with pytest.raises(TopologyError, match=r"rates\.csv"):
        testbed.build("mine", nodes=KEYS["nodes"], links=[link])
    assert testbed.build("mine", directory=tmp_path, nodes=KEYS["nodes"], links=[link])


SUMMARY = Summary(
    workload="rpc",
    kind="tcp-messages",
    values={"goodput_bps": 8_000_000, "latency_p50_ns": 80_500_000, "retransmits": None},
    missing={"retransmits": "the kernel did not tell"},
)


def test_metrics_are_attributes_and_items():
    assert SUMMARY.goodput == SUMMARY["goodput"] == 8_000_000
    assert SUMMARY["latency.p50"] == SUMMARY.latency_p50_ns == 80_500_000
    assert SUMMARY.retransmits is None
    assert copy.deepcopy(SUMMARY) == SUMMARY
    with pytest.raises(AttributeError, match=r"rpc has no godput; it has goodput, latency[.]p50, retransmits"):
        SUMMARY.godput  # noqa: B018


def test_a_notebook_shows_a_table():
    shown = SUMMARY._repr_html_()
    assert shown.startswith("<table><caption>rpc (tcp-messages)</caption><tr><th>metric</th>")
    assert "<tr><td>latency.p50</td><td>80.5 ms</td></tr>" in shown
    assert "<td>retransmits</td><td>?</td>" in shown
