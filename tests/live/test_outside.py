"""Links with this machine (`host`) and with what is beyond it (`internet`), as ping, curl and servers see them."""

import hashlib
import os
import re
import secrets
import signal
import subprocess
from contextlib import contextmanager

import pytest

from testbed.lab import Lab, find, take_down
from testbed.runtime import load
from testbed.topology import loads
from tests.conftest import agent_process
from tests.live.command_line import eventually
from tests.live.lateness import wrong
from tests.live.others import docker, said, snapshot, system
from tests.pings import least, until_answered
from tests.runtimes import RUNTIMES

pytestmark = [pytest.mark.live]


DOWNLOAD = 4_000_000

TOPOLOGY = """
name: outside
ip: both
networks: {lan: {internal: false}}
nodes:
  web:
    command: python3 -u -m http.server 80 --directory FILES
    setup: [[sh, -c, "head -c DOWNLOAD /dev/urandom > FILES/file"]]
    ports: ["80"]
    ready: {tcp: 80}
  other:
links:
  - {between: [host, web], delay: 20ms}
  - {between: [internet, web], delay: 35ms}
  - {between: [internet, web], match: {protocol: icmp}, delay: 50ms}
"""

LINKS = [
    f"{source} -> {destination}{match}"
    for end, matches in (("host", [""]), ("internet", ["", " (icmp)"]))
    for match in matches
    for source, destination in ((end, "web"), ("web", end))
]

HOST_MS, ICMP_MS, BEYOND_MS = 40, 100, 70
"""Round trips of links with the machine, and with what is beyond it, for ping and for all else."""

NEAR_MS = 20
"""More than any round trip without a link takes at its best."""


def quickest(*command):
    """The least round-trip time in ms of a command with ping."""
    times = [float(value) for value in re.findall(r"time=([\d.]+) ms", said(*command))]
    assert times, command
    return min(times)


def fetch(url, *prefix):
    """What curl gets, its SHA-256, and how long it took to connect, ms."""
    command = [*prefix, "curl", "-s", "-m", "30", "-o", "-", "-w", "%{stderr}%{time_connect}", url]
    done = subprocess.run(command, capture_output=True, check=True)
    assert len(done.stdout) == DOWNLOAD
    return hashlib.sha256(done.stdout).hexdigest(), 1e3 * float(done.stderr)


@contextmanager
def namespace_beyond():
    """A network namespace behind this machine, as other machines are; its name, its address, and this machine's."""
    name = f"tb{secrets.token_hex(4)}"
    inside = ("ip", "netns", "exec", name)
    said("ip", "netns", "add", name)
    try:
        said("ip", "link", "add", f"{name}o", "type", "veth", "peer", "name", "eth0", "netns", name)
        said("ip", "addr", "add", "198.19.254.1/30", "dev", f"{name}o")
        said("ip", "link", "set", f"{name}o", "up")
        said(*inside, "ip", "addr", "add", "198.19.254.2/30", "dev", "eth0")
        said(*inside, "ip", "link", "set", "eth0", "up")
        said(*inside, "ip", "route", "add", "default", "via", "198.19.254.1")
        yield inside, "198.19.254.2", "198.19.254.1"
    finally:
        said("ip", "netns", "del", name)


@pytest.fixture(scope="module")
def beyond():
    if os.geteuid() != 0:
        pytest.skip("only root can make a namespace behind this machine")
    with namespace_beyond() as made:
        yield made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Where the server of each runtime has its files: in the container, or on this machine."""
    return {"docker": "/tmp", "netns": str(tmp_path_factory.mktemp("files"))}


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request, beyond, files):
    name = f"test-{secrets.token_hex(5)}"
    text = TOPOLOGY.replace("DOWNLOAD", str(DOWNLOAD)).replace("FILES", files[request.param])
    with Lab.up(loads(text, "test.yml"), name=name, runtime=request.param, engine="userspace") as made:
        yield made
    assert find(name) is None


def container(lab, node):
    return f"testbed-{lab.name}-{node}"


def published(lab):
    """The port of this machine that it has for the server."""
    if lab.runtime == "docker":
        return docker("port", container(lab, "web"), "80/tcp").split()[0].rpartition(":")[2]
    (status,) = (each for each in load("netns").labs() if each.lab == lab.name)
    (port,) = (found[1] for note in status.notes if (found := re.fullmatch(r"web publishes (\d+) -> 80/tcp", note)))
    return port


def logged(lab):
    """What the server has written."""
    return b"".join(load(lab.runtime).logs(lab.name, "web")).decode()


def fastest(lab, node, *command):
    """The least round-trip time in ms of a command with ping in a node."""
    done = lab[node].run(list(command))
    times = [float(value) for value in re.findall(r"time=([\d.]+) ms", done.stdout)]
    assert times, done
    return min(times)


def address(lab, node):
    return lab.plan.node(node).on("lan").address


def bridge(lab):
    (device,) = re.findall(r"dev (\S+)", said("ip", "route", "get", address(lab, "web")))
    return device


def test_this_machine_and_a_node_have_the_delay_of_their_link_each_way(lab):
    gateway = lab.plan.networks[0].gateway
    ping = ("ping", "-n", "-c10", "-i0.05")
    assert quickest(*ping, address(lab, "web")) >= HOST_MS
    assert fastest(lab, "web", *ping, gateway) >= HOST_MS
    assert least(lambda: quickest(*ping, address(lab, "other")), NEAR_MS) < NEAR_MS
    assert least(lambda: fastest(lab, "other", *ping, "web"), NEAR_MS) < NEAR_MS


def test_what_is_beyond_this_machine_has_its_own_link_and_reaches_nothing_that_is_not_published(lab, beyond):
    inside, outside, _ = beyond
    ping = ("ping", "-n", "-c10", "-i0.05", outside)
    assert fastest(lab, "web", *ping) >= ICMP_MS
    assert least(lambda: fastest(lab, "other", *ping), NEAR_MS) < NEAR_MS
    assert subprocess.run([*inside, "ping", "-c1", "-W1", address(lab, "other")], check=False).returncode


def test_each_address_of_this_machine_is_its_own_also_a_new_one(lab, beyond):
    _, _, machine = beyond
    (device,) = re.findall(r"dev (\S+)", said("ip", "route", "get", beyond[1]))
    said("ip", "addr", "add", "198.19.254.9/32", "dev", device)
    try:
        for own in (machine, "198.19.254.9"):
            found_ms = least(lambda own=own: fastest(lab, "web", "ping", "-n", "-c30", "-i0.1", own), ICMP_MS - 1)
            assert HOST_MS <= found_ms < ICMP_MS - 1
    finally:
        said("ip", "addr", "del", "198.19.254.9/32", "dev", device)


def test_published_ports_are_reached_through_the_links(lab, beyond, files):
    inside, outside, machine = beyond
    port, gateway = published(lab), lab.plan.networks[0].gateway
    digest = lab["web"].run(["sha256sum", f"{files[lab.runtime]}/file"]).stdout.split()[0]

    of_loopback, loopback_ms = fetch(f"http://127.0.0.1:{port}/file")
    of_machine, machine_ms = fetch(f"http://{machine}:{port}/file")
    of_node, node_ms = fetch(f"http://{address(lab, 'web')}/file")
    of_outside, outside_ms = fetch(f"http://{machine}:{port}/file", *inside)

    assert {of_loopback, of_machine, of_node, of_outside} == {digest}
    assert min(machine_ms, node_ms) >= HOST_MS
    assert outside_ms >= BEYOND_MS
    clients = set(re.findall(r"^(\S+) - - .*GET ", logged(lab), re.MULTILINE))
    assert clients == {gateway, machine, outside}, "the loopback has the gateway's address; others keep theirs"
    if lab.runtime == "netns":  # docker-proxy accepts connections before they reach the node
        assert loopback_ms >= HOST_MS


def test_arp_of_this_machine_passes_unimpaired(lab):

    def first():
        said("ip", "neigh", "flush", "dev", bridge(lab))
        return quickest("ping", "-n", "-c1", address(lab, "web"))

    assert least(first, 2 * HOST_MS - 1) < 2 * HOST_MS - 1


def test_the_check_measures_links_with_this_machine_and_with_what_is_beyond(lab):
    checks = lab.check()
    assert wrong(checks) == []
    assert {check.link for check in checks} == {*LINKS}
    assert all(check.arrived for check in checks)


def test_the_check_finds_a_firewall_that_lets_nothing_out(lab):
    drop = ("FORWARD", "-i", bridge(lab), "-d", lab.plan.beyond, "-j", "DROP")
    said("iptables", "-w", "-I", *drop)
    try:
        (check,) = (check for check in lab.check() if check.link == "web -> internet")
    finally:
        said("iptables", "-w", "-D", *drop)
    assert not check.passed


def test_a_node_that_restarts_has_its_links_with_this_machine_again(lab):
    if lab.runtime == "netns":
        pytest.skip("namespaces do not restart")
    docker("restart", "-t1", container(lab, "web"))
    assert eventually(lambda: not lab.attachments().problems)
    assert quickest("ping", "-n", "-c20", "-i0.1", address(lab, "web")) >= HOST_MS


@pytest.mark.docker
def test_links_of_a_container_of_somebody_are_given_back(beyond, lab_name):
    with system(f"host-{secrets.token_hex(3)}", "198.19.253.0/24", "a", "b") as made:
        before = state(made)
        text = f"""
name: attached
nodes: {{a: {{container: {made.container("a")}}}}}
links: [{{between: [host, a], delay: 20ms}}]
"""
        for end in (lambda lab: lab.down(), kill_agent):
            lab = Lab.up(loads(text, "test.yml"), name=lab_name, runtime="docker")
            assert quickest("ping", "-n", "-c5", "-i0.05", made.address("a")) >= HOST_MS
            assert least(lambda: min(made.pings("a", "b")), NEAR_MS) < NEAR_MS
            end(lab)
            there = made.address("a")
            assert least(lambda there=there: quickest("ping", "-n", "-c20", "-i0.1", there), NEAR_MS) < NEAR_MS
            take_down(lab_name)
            assert state(made) ^ before == set()


def state(made):
    """All that must be the same before and after; which neighbours they know follows from their packets."""
    return {line for line in snapshot(made, "a", "b") if " neighbour: " not in line}


def kill_agent(lab):
    """Kill the agent; its guardian puts everything back."""
    os.kill(agent_process(lab.name), signal.SIGKILL)


@pytest.mark.parametrize("runtime", ["docker", pytest.param("netns", marks=pytest.mark.netns)])
def test_nothing_leaves_an_internal_network(runtime, beyond, lab_name):
    _, outside, machine = beyond
    with Lab.up(loads("name: shut\nnodes: {a: , b: }", "test.yml"), name=lab_name, runtime=runtime) as lab:
        gateway = lab.plan.networks[0].gateway
        assert lab["a"].run(until_answered("b", count=1, interval_s=1)).status == 0
        for target in (gateway, machine, outside):
            assert lab["a"].run(["ping", "-c1", "-W1", target]).status != 0, target
        done = subprocess.run(["ping", "-c1", "-W1", lab.plan.node("a").interfaces[0].address], check=False)
        assert done.returncode != 0
