"""What links in a row do together, and how the path over them is judged."""

import random

import pytest

from testbed.check.paths import combined, paths_of
from testbed.check.samples import ProbeSample
from testbed.check.selection import choose_in
from testbed.plan import resolve
from testbed.topology import loads

MS = 1_000_000
TEXT = """
name: line
nodes: {a: , r1: {router: true}, r2: {router: true}, b: }
links:
  - {wire: [a, r1], delay: 5ms, loss: 10%, rate: 20mbit}
  - {wire: [r1, r2], delay: 10ms, jitter: 3ms, rate: 10mbit}
  - {wire: [r2, b], delay: 20ms, jitter: 4ms, loss: 20%, mtu: 1400}
workloads:
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 1}
  - {name: again, kind: ping, from: b, to: a, count: 1}
  - {name: near, kind: ping, from: a, to: r1, count: 1}
"""


@pytest.fixture(scope="module")
def path():
    plan = resolve(loads(TEXT, "x.yml"))
    there, back = paths_of(plan, plan.links)
    assert (there.nodes, back.nodes) == (("r1", "r2"), ("r2", "r1"))
    assert (there.mtu, back.mtu) == (1400, 1400)
    return there


def sample(delays_ns, sent):
    return ProbeSample(sent=sent, arrived=len(delays_ns), delays_ns=delays_ns, runs=1)


def drawn(path, sent, late_ns=0, kept=0.72):
    """Delays as the path of the file has them."""
    draw = random.Random(1)
    jitters = [hop.jitter.ns if hop.jitter else 0 for hop in path.hops]
    arrived = round(sent * kept)
    return [35 * MS + late_ns + sum(round(draw.uniform(-1, 1) * ns) for ns in jitters) for _ in range(arrived)]


def test_delays_add_up_losses_combine_and_the_slowest_rate_stays(path):
    whole = combined(path.hops)
    assert whole.delay_ns == 35 * MS
    assert whole.describe() == "delay 35 ms, jitter 5 ms, loss 28 %, rate 10 mbit/s, queue 25 KB"


def test_a_path_as_requested_passes(path):
    delay, loss = path.judge(sample(drawn(path, 2000), 2000), level=1e-4)
    assert (delay.name, delay.asked, delay.passed) == ("delay", 35 * MS, True)
    assert (loss.name, loss.asked, loss.passed) == ("loss", pytest.approx(0.28), True)


@pytest.mark.parametrize(("late_ms", "verdict"), [(10, "too high"), (-5, "too low")])
def test_a_wrong_sum_of_delays_is_found(path, late_ms, verdict):
    delay, _ = path.judge(sample(drawn(path, 2000, late_ms * MS), 2000), level=1e-4)
    assert delay.verdict == verdict


@pytest.mark.parametrize(("kept", "verdict"), [(0.8, "too low"), (0.6, "too high")])
def test_a_wrong_loss_is_found(path, kept, verdict):
    _, loss = path.judge(sample(drawn(path, 2000, kept=kept), 2000), level=1e-4)
    assert loss.verdict == verdict


def test_a_path_on_which_nothing_arrives_fails(path):
    delay, loss = path.judge(sample([], 100), level=1e-4)
    assert delay.measured is None
    assert not loss.passed


SELECTIVE = """
name: selective
nodes: {a: , r1: {router: ROUTER}, b: }
links:
  - {wire: [a, r1], delay: 5ms}
  - {between: [a, r1], match: {protocol: udp, port: 5001}, delay: 25ms, loss: 20%}
  - {wire: [r1, b], delay: 1ms}
  - {between: [r1, b], match: {protocol: tcp, destination_port: 5002}, delay: 30ms, rate: 5mbit}
  - {from: b, to: r1, match: {protocol: udp, destination_port: 40000-50000}, delay: 2ms}
workloads:
  - {name: voice, kind: udp-rr, from: a, to: b, count: 10}
  - {name: rpc, kind: tcp-rr, from: a, to: b, count: 10}
  - {name: path, kind: ping, from: a, to: b, count: 5}
"""


def test_what_a_path_does_is_said_for_the_packets_of_each_workload():
    plan = resolve(loads(SELECTIVE.replace("ROUTER", "true"), "x.yml"))
    paths = {path.link.name: path for path in paths_of(plan, plan.links)}
    assert {name: path.link.impairments.describe() for name, path in paths.items() if not path.skipped} == {
        "a -> b (udp destination port 5001)": "delay 26 ms, loss 20 %",
        "a -> b (tcp destination port 5002)": "delay 35 ms, rate 5 mbit/s, queue 37.5 KB",
        "b -> a (tcp source port 5002)": "delay 6 ms",
        "a -> b (icmp)": "delay 6 ms",
        # Answers to ping meet the same links as those of TCP: they are no path of their own.
    }
    # The server's answers go to the port that the client's kernel chose: some of those are in the match.
    (skipped,) = (path for path in paths.values() if path.skipped)
    assert skipped.link.name == "b -> a (udp source port 5001)"
    assert "udp destination port 40000-50000" in str(skipped.skipped)


def test_a_path_is_probed_with_packets_that_its_links_take():
    plan = resolve(loads(SELECTIVE.replace("ROUTER", "true"), "x.yml"))
    found = {path.link.name: path.box and choose_in(path.box, 61_000) for path in paths_of(plan, plan.links)}
    chosen = {name: packets and (packets.protocol_name, packets.dscp) for name, packets in found.items()}
    assert chosen["a -> b (udp destination port 5001)"] == ("udp", 0)
    assert chosen["b -> a (tcp source port 5002)"] == ("tcp", 0)
    assert chosen["a -> b (icmp)"] == ("icmp", 0)
    there, back = found["a -> b (udp destination port 5001)"], found["b -> a (tcp source port 5002)"]
    assert there
    assert back
    assert (there.destination_port, back.source_port) == (5001, 5002)


def test_a_path_through_a_nat_with_matches_is_not_measured_and_says_why():
    text = SELECTIVE.replace("ROUTER", "{nat: {inside: [a-r1]}}")
    plan = resolve(loads(text, "x.yml"))
    paths = paths_of(plan, plan.links)
    assert paths
    assert all("r1 lets no packets pass" in str(path.skipped) for path in paths)
