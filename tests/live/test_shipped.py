"""Every shipped topology, run by the command line as a person would, with what each is there to show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.endpoint.columns import decode
from testbed.plan import resolve
from testbed.results import load as load_run
from testbed.topology import find, load
from testbed.units import CERTAIN

TOPOLOGIES = sorted(path.stem for path in (Path(__file__).parents[2] / "topologies").glob("*.yml"))
MS = 1_000_000

pytestmark = pytest.mark.live


def command_line(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "testbed", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture
def run(lab_name, tmp_path):
    """Runs a topology under the test's own lab name, and reads what it left."""

    def run_it(name, runtime):
        done = command_line("run", name, "--name", lab_name, "--runtime", runtime, "--results", str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        result = load_run("latest", tmp_path)
        for workload in result.plan.workloads:
            assert workload.name in done.stdout
        return result

    return run_it


@pytest.mark.docker
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_runs_to_its_end_with_links_as_asked(run, name):
    result = run(name, "docker")
    assert result.is_whole
    assert result.runtime == "docker"
    assert result.plan.digest == resolve(load(find(name))).digest
    assert {each.workload for each in result.summaries} == {each.name for each in result.plan.workloads}
    assert len(result.checks) == len(result.plan.links)
    for summary in result.summaries:
        assert summary.values.get("delivered") != 0, summary
        samples = (result.path / "samples" / f"{summary.workload}.jsonl").read_text().splitlines()
        assert samples
        assert all(isinstance(json.loads(line), dict) for line in samples[:5])


@pytest.mark.netns
def test_what_tcp_and_udp_promise_and_cost(run):
    result = run("tcp-vs-udp", "netns")
    (one_way,) = {link.shape.delay_ns for link in result.plan.links}
    (loss,) = {link.shape.loss / CERTAIN for link in result.plan.links}
    round_trip = 2 * one_way

    of = result.summary
    # A connection costs a round trip before its first byte, each time; none is set up for a datagram.
    assert of("rpc-tcp-each").number("setup_ns") >= round_trip
    assert of("rpc-tcp-each").number("latency_p50_ns") >= 2 * round_trip
    assert round_trip <= of("rpc-tcp-once").number("latency_min_ns") < 2 * round_trip
    assert round_trip <= of("rpc-udp").number("latency_min_ns") < 2 * round_trip
    assert of("stream-tcp").number("first_byte_ns") >= of("stream-udp").number("first_byte_ns") + one_way
    # All is delivered, at the price of sending again, and of waiting for that: at least a round trip, for what is lost.
    assert of("rpc-tcp-once").number("loss_ratio") == 0
    assert of("stream-tcp").number("delivered_bytes") == of("stream-tcp").number("sent_bytes")
    assert of("stream-tcp").number("retransmits") > 0
    assert of("rpc-tcp-once").number("latency_max_ns") >= 2 * round_trip
    # What the path loses is lost, here and there about as often as it was asked to.
    assert loss / 4 < of("stream-udp").number("loss_ratio") < 4 * loss
    assert of("stream-udp").number("latency_p50_ns") < round_trip


@pytest.mark.netns
def test_the_same_seed_drops_the_same_packets_of_a_run(run, tmp_path):
    topology = tmp_path / "seeded.yml"
    topology.write_text("""
name: seeded
seed: 5
nodes: {a: {}, b: {}}
links: [{from: a, to: b, loss: 10%}]
workloads: [{name: probes, kind: udp-stream, from: a, to: b, rate: 320kbit, size: 200B, duration: 2s}]
""")

    def lost():
        sent, received = set(), set()
        samples = run(str(topology), "netns").path / "samples" / "probes.jsonl"
        for event in map(json.loads, samples.read_text().splitlines()):
            if event["event"] == "sent":
                sent |= set(range(event["first"], event["first"] + len(event["sent_ns"])))
            if event["event"] == "received":
                received |= set(decode(event["seq"]))
        return sorted(sent - received)

    first = lost()
    assert first
    assert first == lost()
