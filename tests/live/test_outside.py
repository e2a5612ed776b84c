"""Links with this machine (`host`) and with what is beyond it (`internet`), as ping, curl and servers see them."""

import hashlib
import os
import re
import secrets
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.lab import Lab, find
from testbed.runtime.state import LabDirectory
from testbed.topology import loads
from tests.live.others import docker, said, snapshot, system

pytestmark = [pytest.mark.docker, pytest.mark.live]

DOWNLOAD = 4_000_000

TOPOLOGY = """
name: outside
networks: {lan: {internal: false}}
nodes:
  web:
    command: python3 -u -m http.server 80 --directory /tmp
    setup: [[sh, -c, "head -c DOWNLOAD /dev/urandom > /tmp/file"]]
    ports: ["80"]
    ready: {tcp: 80}
  other:
links:
  - {between: [host, web], delay: 20ms}
  - {between: [internet, web], delay: 35ms}
  - {between: [internet, web], match: {protocol: icmp}, delay: 50ms}
"""

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
def lab(beyond):
    name = f"test-{secrets.token_hex(5)}"
    text = TOPOLOGY.replace("DOWNLOAD", str(DOWNLOAD))
    with Lab.up(loads(text, "test.yml"), name=name, runtime="docker", engine="userspace") as made:
        yield made
    assert find(name) is None


def container(lab, node):
    return f"testbed-{lab.name}-{node}"


def published(lab):
    return docker("port", container(lab, "web"), "80/tcp").split()[0].rpartition(":")[2]


def address(lab, node):
    return lab.plan.node(node).on("lan").address


def bridge(lab):
    (device,) = re.findall(r"dev (\S+)", said("ip", "route", "get", address(lab, "web")))
    return device


def test_this_machine_and_a_node_have_the_delay_of_their_link_each_way(lab):
    gateway = lab.plan.networks[0].gateway
    ping = ("ping", "-n", "-c10", "-i0.05")
    assert quickest(*ping, address(lab, "web")) >= HOST_MS
    assert quickest("docker", "exec", container(lab, "web"), *ping, gateway) >= HOST_MS
    assert quickest(*ping, address(lab, "other")) < NEAR_MS
    assert quickest("docker", "exec", container(lab, "other"), *ping, "web") < NEAR_MS


def test_what_is_beyond_this_machine_has_its_own_link(lab, beyond):
    _, outside, _ = beyond
    ping = ("ping", "-n", "-c10", "-i0.05", outside)
    assert quickest("docker", "exec", container(lab, "web"), *ping) >= ICMP_MS
    assert quickest("docker", "exec", container(lab, "other"), *ping) < NEAR_MS


def test_each_address_of_this_machine_is_its_own_also_a_new_one(lab, beyond):
    _, _, machine = beyond
    (device,) = re.findall(r"dev (\S+)", said("ip", "route", "get", beyond[1]))
    said("ip", "addr", "add", "198.19.254.9/32", "dev", device)
    try:
        for own in (machine, "198.19.254.9"):
            wait = ["docker", "exec", container(lab, "web"), "ping", "-n", "-c30", "-i0.1", own]
            assert HOST_MS <= quickest(*wait) < ICMP_MS
    finally:
        said("ip", "addr", "del", "198.19.254.9/32", "dev", device)


def test_published_ports_are_reached_through_the_links(lab, beyond):
    inside, outside, machine = beyond
    port, gateway = published(lab), lab.plan.networks[0].gateway
    digest = lab["web"].run(["sha256sum", "/tmp/file"]).stdout.split()[0]

    assert fetch(f"http://127.0.0.1:{port}/file")[0] == digest
    of_machine, machine_ms = fetch(f"http://{machine}:{port}/file")
    of_node, node_ms = fetch(f"http://{address(lab, 'web')}/file")
    of_outside, outside_ms = fetch(f"http://{machine}:{port}/file", *inside)

    assert {of_machine, of_node, of_outside} == {digest}
    assert min(machine_ms, node_ms) >= HOST_MS
    assert outside_ms >= BEYOND_MS
    log = subprocess.run(["docker", "logs", container(lab, "web")], capture_output=True, text=True, check=True)
    clients = set(re.findall(r"^(\S+) - - .*GET /file", log.stdout + log.stderr, re.MULTILINE))
    assert clients == {gateway, machine, outside}, "docker-proxy has the gateway's address; others keep theirs"


def test_arp_of_this_machine_passes_unimpaired(lab):
    first = []
    for _ in range(5):
        said("ip", "neigh", "flush", "dev", bridge(lab))
        first.append(quickest("ping", "-n", "-c1", address(lab, "web")))
    assert min(first) < 2 * HOST_MS


def test_the_check_measures_links_with_this_machine_and_says_that_it_does_not_those_beyond(lab):
    checks = {check.link: check for check in lab.check()}
    for link in ("host -> web", "web -> host"):
        assert checks[link].verdict == "as requested"
    for link in ("internet -> web", "web -> internet", "internet -> web (icmp)", "web -> internet (icmp)"):
        assert checks[link].verdict.startswith("not measured: a prober beyond this machine")


def test_a_node_that_restarts_has_its_links_with_this_machine_again(lab):
    docker("restart", "-t1", container(lab, "web"))
    assert quickest("ping", "-n", "-c20", "-i0.1", address(lab, "web")) >= HOST_MS


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
            assert min(made.pings("a", "b")) < NEAR_MS
            end(lab)
            assert quickest("ping", "-n", "-c20", "-i0.1", made.address("a")) < NEAR_MS
            while found := find(lab_name):
                found.down(lab_name)
            assert state(made) ^ before == set()


def state(made):
    """All that must be the same before and after; which neighbours they know follows from their packets."""
    return {line for line in snapshot(made, "a", "b") if " neighbour: " not in line}


def kill_agent(lab):
    """Kill the agent; its guardian puts everything back."""
    name = LabDirectory("docker", lab.name).agent_name
    agents = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it is no process, or has ended
            if (process / "comm").read_text().strip() == name:
                agents.append(int(process.name))
    os.kill(min(agents), signal.SIGKILL)  # the guardian is its fork


@pytest.mark.parametrize("runtime", ["docker", pytest.param("netns", marks=pytest.mark.netns)])
def test_nothing_leaves_an_internal_network(runtime, beyond, lab_name):
    _, outside, machine = beyond
    with Lab.up(loads("name: shut\nnodes: {a: , b: }", "test.yml"), name=lab_name, runtime=runtime) as lab:
        gateway = lab.plan.networks[0].gateway
        assert lab["a"].run(["ping", "-c1", "-W2", "b"]).status == 0
        for target in (gateway, machine, outside):
            assert lab["a"].run(["ping", "-c1", "-W1", target]).status != 0, target
        done = subprocess.run(["ping", "-c1", "-W1", lab.plan.node("a").interfaces[0].address], check=False)
        assert done.returncode != 0


def test_netns_has_no_way_out(lab_name):
    text = "name: out\nnetworks: {lan: {internal: false}}\nnodes: {a: }\nlinks: [{between: [host, a], delay: 5ms}]"
    with pytest.raises(MachineError, match="no way out"):
        Lab.up(loads(text, "test.yml"), name=lab_name, runtime="netns")
