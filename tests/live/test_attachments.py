"""Nodes that come, go and change: ping finds no round trip shorter than the links', and what is missing is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from testbed.check.trusting import disturbances
from testbed.errors import LabError
from testbed.lab import Lab, Observer
from testbed.topology import loads
from tests import pings
from tests.live.command_line import eventually, run
from tests.live.docker_agents import agent_as

pytestmark = pytest.mark.live

ROUND_TRIP_MS = 80
TOPOLOGY = """
name: attached
nodes: {a: {}, b: {}, c: {}}
links:
  - {between: [a, b], delay: 40ms}
workloads:
  - {name: ping, kind: ping, from: a, to: b, count: 60, interval: 50ms}
"""


@contextmanager
def lab_of_containers(name, agent, engine="userspace"):
    topology = loads(TOPOLOGY, "attached.yml")
    with agent_as(agent), Lab.up(topology, name=name, runtime="docker", engine=engine) as lab:
        yield lab


@pytest.fixture(
    params=[
        ("process", "userspace"),
        ("container", "userspace"),
        pytest.param(("process", "netem"), marks=pytest.mark.netem),
    ],
    ids=" ".join,
)
def docker_lab_of_each_kind(request, lab_name):
    """A lab of containers with its agent in each of the ways that there are, and with each engine."""
    if request.param[0] == "process" and os.geteuid() != 0:
        pytest.skip("only root can have a local process as the agent of containers")
    with lab_of_containers(lab_name, *request.param) as lab:
        yield lab


@pytest.fixture
def docker_lab(lab_name):
    """A lab of containers."""
    with lab_of_containers(lab_name, "process") as lab:
        yield lab


@pytest.fixture(params=["userspace", pytest.param("netem", marks=pytest.mark.netem)])
def netns_lab_of_each_engine(request, lab_name):
    """A lab of namespaces with each engine."""
    topology = loads(TOPOLOGY, "attached.yml")
    with Lab.up(topology, name=lab_name, runtime="netns", engine=request.param) as lab:
        yield lab


@pytest.fixture
def netns_lab(lab_name):
    """A lab of namespaces."""
    with Lab.up(loads(TOPOLOGY, "attached.yml"), name=lab_name, runtime="netns") as lab:
        yield lab


def docker(*argv):
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout.strip()


def container(lab, node="b"):
    return f"testbed-{lab.name}-{node}"


def network(lab):
    return f"testbed-{lab.name}-lan"


def address(lab, node):
    return lab.plan.node(node).interfaces[0].address


def round_trips(said):
    """The round trips that ping found, ms."""
    return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)]


def pinged(lab, node, *argv):
    return round_trips(lab[node].run(["ping", "-W2", *argv]).stdout)


@contextmanager
def ping_all_the_while(lab):
    """Have a ping b, a hundred times a second and every time with a round trip as long as the links' or longer."""
    program = lab.program("a", ["ping", "-n", "-i0.01", address(lab, "b")])
    found: list[float] = []
    reader = threading.Thread(target=lambda: found.extend(t for line in program for t in round_trips(line)))
    reader.start()
    try:
        yield found
    finally:
        program.stop()
        reader.join()
        program.wait()
    assert found
    assert min(found) >= ROUND_TRIP_MS


def attached(lab):
    """Whether all nodes run and are where they belong."""
    return not lab.attachments().problems


@pytest.mark.docker
def test_no_packet_reaches_a_restarted_container_but_by_its_links(docker_lab_of_each_kind):
    lab = docker_lab_of_each_kind
    before = lab.attachments()
    with ping_all_the_while(lab) as found:
        for how in (["restart", "-t0"], ["restart", "-t0"], ["stop", "-t0"], ["start"]):
            docker(*how, container(lab))
        assert eventually(lambda: attached(lab))
        count = len(found)
        assert eventually(lambda: len(found) > count)
    for node, other in (("a", "b"), ("b", "a")):
        known = lab[node].run(["ip", "neighbor", "show", address(lab, other)]).stdout
        assert "PERMANENT" in known
    happened = disturbances(before, lab.attachments())
    assert any("b was attached to network lan again" in what for what in happened)
    assert not any("without impairments" in what for what in happened)
    assert "broken" not in next(line for line in run("ps").stdout.splitlines() if line.startswith(lab.name))
    assert [check.problem for check in lab.check()] == [None, None]  # probes cross both links again


@pytest.mark.docker
@pytest.mark.parametrize("end", ["from", "to"])
def test_a_container_with_only_an_uplink_or_a_downlink_sends_and_receives_after_a_restart(lab_name, end):
    text = f"name: line\nnodes: {{a: , b: }}\nlinks: [{{{end}: a, delay: 40ms}}]"
    with Lab.up(loads(text, "line.yml"), name=lab_name, runtime="docker", engine="userspace") as lab:
        docker("restart", "-t0", container(lab, "a"))
        assert eventually(lambda: attached(lab))
        assert min(pinged(lab, "b", "-c3", "-i0.2", address(lab, "a"))) >= ROUND_TRIP_MS / 2


@pytest.mark.docker
def test_a_container_put_back_on_a_network_has_its_links(docker_lab):
    lab = docker_lab
    with ping_all_the_while(lab) as found:
        docker("network", "disconnect", network(lab), container(lab))
        assert eventually(lambda: not attached(lab))
        with pytest.raises(LabError, match="node b is not on network lan") as caught:
            lab.link("a", "b").update(delay="50ms")
        assert caught.value.code == "port-gone"
        docker("network", "connect", "--ip", address(lab, "b"), network(lab), container(lab))
        assert eventually(lambda: attached(lab))
        count = len(found)
        assert eventually(lambda: len(found) > count)


@pytest.mark.docker
def test_a_container_put_back_with_another_address_is_a_problem(docker_lab):
    lab = docker_lab
    other = address(lab, "c").rpartition(".")[0] + ".99"
    docker("network", "disconnect", network(lab), container(lab))
    docker("network", "connect", "--ip", other, network(lab), container(lab))
    assert eventually(lambda: any(f"has {other}, the plan says" in each for each in lab.attachments().problems))
    assert min(pinged(lab, "a", "-c3", "-i0.2", other)) >= ROUND_TRIP_MS


@pytest.mark.docker
def test_a_lab_with_a_stopped_node_is_not_measured(docker_lab, tmp_path):
    lab = docker_lab
    docker("stop", "-t0", container(lab))
    assert re.search(rf"^{lab.name} .*broken: node b does not run", run("ps").stdout, re.MULTILINE)
    for measure in (lab.check, lambda: lab.run(tmp_path), lambda: lab.run_workload("ping")):
        with pytest.raises(LabError, match=r"node b: its program ended with status 1(37|43)") as caught:
            measure()
        assert caught.value.code == "node-exited"
    docker("start", container(lab))
    assert eventually(lambda: attached(lab))
    assert min(pinged(lab, "a", "-c2", "b")) >= ROUND_TRIP_MS

    class Removing(Observer):
        def begun(self, stage, detail=""):
            if stage == "run" and not detail:
                docker("rm", "-f", container(lab))

    with pytest.raises(LabError, match=f"node b: container {container(lab)} is not there") as caught:
        lab.run(tmp_path, observer=Removing())
    assert caught.value.code == "node-exited"
    assert re.search(rf"^{lab.name} .*broken: node b does not run.* b \(removed\)", run("ps").stdout, re.MULTILINE)


@pytest.mark.docker
def test_a_run_in_which_a_container_was_restarted_is_not_trusted(docker_lab, tmp_path):
    lab = docker_lab

    class Restarting(Observer):
        restarted = False

        def progressed(self, stage, *_):
            if stage == "run" and not self.restarted:
                self.restarted = True
                docker("restart", "-t0", container(lab))  # the run does not end before

    done = lab.run(tmp_path, observer=Restarting())
    assert not done.trusted
    assert any("node b was attached to network lan again" in reason for reason in done.distrust)


@contextmanager
def stranger(lab):
    """The address of a container on the lab's network that is no node."""
    identity = docker("run", "-d", "--rm", "--network", network(lab), "testbed:latest")
    try:
        yield docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", identity)
    finally:
        docker("rm", "-f", identity)


@pytest.mark.docker
def test_a_container_that_is_no_node_gets_and_gives_nothing_where_there_are_links(docker_lab):
    lab = docker_lab
    with stranger(lab) as its_address:
        for node in ("a", "b"):
            assert pinged(lab, node, "-c2", "-i0.2", its_address) == []
        assert eventually(lambda: any("is no node's" in note for note in lab.attachments().notes))
        assert attached(lab)
        assert "is no node's" in run("ps").stdout


@pytest.mark.docker
def test_a_networks_first_link_cuts_off_what_is_no_node(lab_name):
    with Lab.up(loads("name: plain\nnodes: {a: {}, b: {}}\n", "plain.yml"), name=lab_name, runtime="docker") as lab:
        docker("restart", "-t0", container(lab))
        with stranger(lab) as its_address:
            assert pinged(lab, "a", "-c1", its_address)
            assert eventually(lambda: attached(lab))
            lab.link("a", "b").update(delay="40ms")
            lab.link("b", "a").update(delay="40ms")
            assert min(pinged(lab, "a", "-c2", "b")) >= ROUND_TRIP_MS
            assert pinged(lab, "a", "-c2", "-i0.2", its_address) == []


@pytest.mark.netns
def test_a_node_with_another_mac_keeps_its_links(netns_lab_of_each_engine):
    lab = netns_lab_of_each_engine
    assert lab["a"].run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"]).status == 0
    assert eventually(lambda: "02:00:00:00:00:99 PERMANENT" in lab["b"].run(["ip", "neighbor"]).stdout)
    assert eventually(lambda: "PERMANENT" in lab["a"].run(["ip", "neighbor"]).stdout)
    for node, other in (("a", "b"), ("b", "a")):
        said = lab[node].run(pings.until_answered(other, count=5, interval_s=0.1)).stdout
        assert min(pings.complete(said, 5)) >= ROUND_TRIP_MS
    lab.link("a", "b").update(delay="160ms")
    assert min(pinged(lab, "b", "-c3", "-i0.2", "a")) >= 200


@pytest.mark.netns
def test_further_macs_of_a_node_have_its_links_or_nothing(netns_lab_of_each_engine):
    """Of macvlans, and of whatever else sends through a node's interface."""
    lab = netns_lab_of_each_engine
    lab["b"].run(["ip", "address", "add", "198.19.9.2/24", "dev", "eth0"])
    for number in (1, 2, 3):
        add = f"link add link eth0 name mv{number} address 02:00:00:00:07:0{number} type macvlan mode bridge"
        for argv in (add, f"address add 198.19.9.1{number}/24 dev mv{number}", f"link set mv{number} up"):
            assert lab["a"].run(["ip", *argv.split()]).status == 0
        found = pinged(lab, "a", "-c5", "-i0.3", "-I", f"mv{number}", "198.19.9.2")
        assert found
        assert min(found) >= ROUND_TRIP_MS
    assert pinged(lab, "a", "-c1", "c")  # it has no link: as ever


@pytest.mark.netns
def test_packets_from_a_mac_that_another_node_had_are_an_incident(netns_lab):
    lab = netns_lab
    before = lab.attachments()
    mac = lab.plan.node("c").interfaces[0].mac
    for argv in (
        f"link add link eth0 name mv address {mac} type macvlan",
        "link set mv up",
        "address add 198.19.9.1/24 dev mv",
    ):
        assert lab["a"].run(["ip", *argv.split()]).status == 0
    lab["b"].run(["ip", "address", "add", "198.19.9.2/24", "dev", "eth0"])
    pinged(lab, "a", "-c2", "-i0.3", "-I", "mv", "198.19.9.2")
    assert any(f"MAC {mac}, which was c's, now come from a" in each for each in disturbances(before, lab.attachments()))
    assert min(pinged(lab, "a", "-c4", "-i0.3", "-I", "mv", "198.19.9.2")) >= ROUND_TRIP_MS


SEND_TAGGED = """
import socket, sys, time
interface, destination, tags = sys.argv[1:]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind((interface, 0))
    source = sock.getsockname()[4]
    for _ in range(5):
        now = str(time.monotonic_ns()).encode()
        sock.send(bytes.fromhex(destination.replace(":", "")) + source + bytes.fromhex(tags) + now.ljust(60))
        time.sleep(0.05)
"""
RECEIVE = """
import socket, sys, time
KIND = bytes.fromhex("88b5")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
    sock.bind((sys.argv[1], 3))
    sock.settimeout(60)
    print("ready", flush=True)
    found = []
    while len(found) < 5:
        frame = sock.recv(2000)
        if KIND in frame[12:22]:
            found.append(time.monotonic_ns() - int(frame.partition(KIND)[2].split()[0]))
    print(min(found))
"""


@pytest.mark.netns
@pytest.mark.parametrize("tags", ["8100000588b5", "88a800068100000588b5", "88a8000688b5", "88b5"])
def test_links_hold_for_frames_with_any_tag(netns_lab, tags):
    """802.1Q, 802.1ad, both and none, on an EtherType for experiments."""
    lab = netns_lab
    port = {node: lab.plan.node(node).interfaces[0] for node in ("a", "b")}
    receiver = lab.program("b", [sys.executable, "-c", RECEIVE, port["b"].name])
    lines = iter(receiver)
    assert next(lines).strip() == "ready"
    sent = lab["a"].run([sys.executable, "-c", SEND_TAGGED, port["a"].name, port["b"].mac, tags])
    assert sent.status == 0, sent.stderr
    one_way_ns = next(lines, receiver.stderr)
    receiver.wait()
    assert int(one_way_ns) >= ROUND_TRIP_MS / 2 * 1e6


@pytest.mark.netns
def test_links_hold_for_ipv6(netns_lab):
    lab = netns_lab
    for number, node in ((1, "a"), (2, "b")):
        lab[node].run(["sysctl", "-w", "net.ipv6.conf.eth0.disable_ipv6=0"])
        assert lab[node].run(["ip", "address", "add", f"2001:2::{number}/64", "dev", "eth0", "nodad"]).status == 0
    found = pinged(lab, "a", "-6", "-c4", "-i0.2", "2001:2::2")
    assert found
    assert min(found) >= ROUND_TRIP_MS


@pytest.mark.netns
def test_an_interface_that_was_removed_is_named(netns_lab):
    lab = netns_lab
    assert lab["b"].run(["ip", "link", "delete", "eth0"]).status == 0
    assert eventually(lambda: not attached(lab))
    assert re.search(rf"^{lab.name} .*broken: node b is not on network lan", run("ps").stdout, re.MULTILINE)
    with pytest.raises(LabError, match="node b is not on network lan"):
        lab.check()
