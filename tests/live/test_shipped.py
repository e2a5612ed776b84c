"""Every shipped topology, run by the command line as a person would, with what each is there to show."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.endpoint.columns import decode
from testbed.plan import resolve
from testbed.runs import load as load_run
from testbed.topology import find, load
from testbed.units import CERTAIN
from tests.conftest import missing, remains
from tests.live.lateness import judged

TOPOLOGIES = sorted(path.stem for path in (Path(__file__).parents[2] / "topologies").glob("*.yml"))
MS = 1_000_000
AT_ONCE = 4

pytestmark = pytest.mark.live


def run(name, runtime, results):
    """Run a topology to its end as a person would, in a lab of its own, and read what that left.

    A person would run it again if it says that this machine was too busy, or a link was late, and for no other reason.
    """
    lab = f"test-{secrets.token_hex(5)}"
    options = ("--name", lab, "--runtime", runtime, "--results", str(results))
    command = (sys.executable, "-m", "testbed", "run", name, *options)
    ends = []

    def attempt():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        assert done.stderr == ""
        assert remains(lab) == []
        ends.append(done)
        return load_run("latest", results)

    result = judged(attempt, is_fine=lambda _: ends[-1].returncode == 0)
    done = ends[-1]
    assert done.returncode == 0, done.stdout
    for workload in result.plan.workloads:
        assert (workload.group or workload.name) in done.stdout
    return result


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    """The runs of all tests that were selected and can be run here: some at once, since most of a run is waiting."""
    chosen = [each.callspec.params["shipped"] for each in request.session.items if "shipped" in each.fixturenames]
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {
        (name, runtime): pool.submit(run, name, runtime, tmp_path_factory.mktemp(name))
        for name, runtime in chosen
        if not missing(runtime)
    }
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def shipped(request, begun):
    """A shipped topology's run."""
    return begun[request.param].result()


@pytest.mark.docker
@pytest.mark.servers
@pytest.mark.parametrize("shipped", [(name, "docker") for name in TOPOLOGIES], ids=TOPOLOGIES, indirect=True)
def test_runs_to_its_end_with_links_as_asked(shipped):
    assert shipped.is_whole
    assert shipped.runtime == "docker"
    assert shipped.plan.digest == resolve(load(find(shipped.plan.topology))).digest
    assert {each.workload for each in shipped.summaries} == {each.name for each in shipped.plan.workloads}
    assert sum(not check.path for check in shipped.checks) == len(shipped.plan.links)
    for summary in shipped.summaries:
        assert summary.values.get("delivered") != 0, summary
        samples = (shipped.path / "samples" / f"{summary.workload}.jsonl").read_text().splitlines()
        assert samples
        assert all(isinstance(json.loads(line), dict) for line in samples[:5])


@pytest.mark.netns
@pytest.mark.parametrize("shipped", [("tcp-vs-udp", "netns")], ids=["tcp-vs-udp"], indirect=True)
def test_what_tcp_and_udp_promise_and_cost(shipped):
    (one_way,) = {link.impairments.delay_ns for link in shipped.plan.links}
    (loss,) = {link.impairments.loss.probability / CERTAIN for link in shipped.plan.links}
    round_trip = 2 * one_way

    of = shipped.summary
    # A connection costs a round trip before its first byte, each time; none is set up for a datagram.
    assert of("rpc-tcp-each").number("setup_ns") >= round_trip
    assert of("rpc-tcp-each").number("latency_p50_ns") >= 2 * round_trip
    assert round_trip <= of("rpc-tcp-once").number("latency_min_ns") < 2 * round_trip
    assert round_trip <= of("rpc-udp").number("latency_min_ns") < 2 * round_trip
    assert of("hello-udp").number("first_byte_ns") >= one_way
    assert of("hello-tcp").number("first_byte_ns") >= round_trip + one_way
    assert one_way <= of("stream-udp").number("latency_p50_ns") < round_trip
    # TLS takes one more.
    assert of("rpc-tls-each").number("setup_ns") >= 2 * round_trip
    assert of("rpc-tls-each").number("tls_ns") >= round_trip
    assert of("rpc-tls-each").number("latency_p50_ns") >= 3 * round_trip
    assert of("hello-tls").number("first_byte_ns") >= 2 * round_trip + one_way
    # QUIC takes one for both.
    assert of("hello-quic").number("first_byte_ns") >= round_trip + one_way
    # All is delivered, at the price of sending again, and of waiting for that: at least a round trip, for what is lost.
    assert of("rpc-tcp-once").number("loss_ratio") == 0
    assert of("stream-tcp").number("delivered_bytes") == of("stream-tcp").number("sent_bytes")
    assert of("stream-tcp").number("retransmits") > 0
    # So messages over TCP have a tail that is a round trip behind those over UDP, of which most are as soon there.
    for name in ("messages-tcp", "messages-quic"):
        messages = of(name)
        assert messages.number("sent") == messages.number("delivered") == of("stream-udp").number("sent")
        assert messages.number("latency_p99_ns") >= one_way + round_trip
        assert one_way <= messages.number("latency_p50_ns") < one_way + round_trip
    # What the path loses is lost, here and there about as often as it was asked to.
    assert loss / 4 < of("stream-udp").number("loss_ratio") < 4 * loss


@pytest.mark.netns
def test_the_same_seed_drops_the_same_packets_of_a_run(tmp_path):
    topology = tmp_path / "seeded.yml"
    topology.write_text("""
name: seeded
seed: 5
nodes: {a: {}, b: {}}
links: [{from: a, to: b, loss: 10%}]
workloads: [{name: probes, kind: udp-stream, from: a, to: b, rate: 320kbit, size: 200B, duration: 2s}]
""")

    def lost(results):
        sent, received = set(), set()
        samples = run(str(topology), "netns", tmp_path / results).path / "samples" / "probes.jsonl"
        for event in map(json.loads, samples.read_text().splitlines()):
            if event["event"] == "sent":
                sent |= set(range(event["first"], event["first"] + len(event["sent_ns"])))
            if event["event"] == "received":
                received |= set(decode(event["seq"]))
        return sorted(sent - received)

    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lost, ("first", "second"))
    assert first
    assert first == second
