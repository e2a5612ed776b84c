"""Nodes on several machines: Docker Engines in namespaces of their own, whose monotonic clocks are a day apart."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import time

import pytest

from testbed import runs
from tests import pings
from tests.conftest import remains
from tests.live import engines
from tests.live.command_line import PATIENCE_S, WAIT_S, begin, eventually, nothing_remains_on, run
from tests.live.lateness import only_late

pytestmark = [pytest.mark.live, pytest.mark.machines]

FILE = """
name: two
hosts: {{east: "{east}", west: "{west}"}}
nodes:
  client: {{host: east}}
  server: {{host: west}}
links:
  - {{between: [client, server], delay: 30ms}}
timeline:
  - {{at: 500ms, link: {{from: server, to: client}}, loss: 10%}}
  - {{at: 700ms, node: server, pause: 100ms}}
workloads:
  - {{name: stream, kind: udp-stream, from: client, to: server, rate: 200kbit, duration: 1s}}
  - {{name: calls, kind: tcp-rr, from: client, to: server, count: 10}}
expect: [stream.lost == 0]
"""
WIRED = """
name: wired
ip: both
hosts: {{east: "{east}", west: "{west}"}}
nodes:
  client: {{host: east}}
  r1: {{host: west, router: true}}
  r2: {{host: west, router: true, networks: [six]}}
  six: {{host: east, networks: [six], volumes: ["./files:/srv/files:ro", "./files/one:/etc/one:ro"]}}
  r3: {{host: east, router: true, networks: [lan]}}
  server: {{host: west, networks: [lan]}}
networks: {{lan: , six: {{ip: 6}}}}
links:
  - {{from: server, delay: 10ms, rate: 5mbit}}
  - {{wire: [client, r1], delay: 20ms}}
  - {{wire: [r1, r2]}}
  - {{wire: [r2, r3]}}
  - {{from: r3, to: server, delay: 10ms}}
"""
MS = 1_000_000
LATE_MS = 60_000
"""How late a busy machine may make anything here; clocks that are mixed up show as a day."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with engines.swarm(tmp_path_factory.mktemp("engines") / "all", "east", "west") as found:
        yield found


@pytest.fixture(scope="module")
def file(machines, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "two.yml"
    path.write_text(FILE.format(**{each.name: each.address for each in machines}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def two(file):
    """The name of a lab on both machines, until a test takes it down."""
    name = f"test-{secrets.token_hex(5)}"
    done = run("up", str(file), "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    run("down", name)


def round_trips_ms(lab, count=5):
    """What ping in the client measures to the server, whose name it looks up."""
    done = run("exec", lab, "client", "--", *pings.until_answered("server", count=count, interval_s=0.2))
    assert done.returncode == 0, done.stdout + done.stderr
    return pings.complete(done.stdout, count)


@pytest.fixture(scope="module")
def wired(machines, tmp_path_factory):
    """The name of a lab with wires and routers on both machines, until a test takes it down."""
    name, path = f"test-{secrets.token_hex(5)}", tmp_path_factory.mktemp("file") / "wired.yml"
    path.write_text(WIRED.format(**{each.name: each.address for each in machines}), encoding="utf-8")
    (path.parent / "files").mkdir()
    (path.parent / "files" / "one").write_text("from here", encoding="utf-8")
    done = run("up", str(path), "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    run("down", name)


def addresses(machine, lab, node):
    """The addresses that a node has, but those of the loopback and link-local ones."""
    lines = machine.within(lab, node, "ip", "-oneline", "address").splitlines()
    return [line.split()[3].split("/")[0] for line in lines if "scope global" in line]


def answers(lab, node, *ping):
    """Whether a ping from a node to another one is answered."""
    return run("exec", lab, node, "--", "ping", "-c", "1", "-W", "1", *ping).returncode == 0


def figure(summary, name):
    value = summary.values[name]
    assert isinstance(value, int | float)
    return value


def test_links_and_workloads_between_machines(two, machines, tmp_path):
    assert 60 <= min(round_trips_ms(two)) < LATE_MS
    done = run("run", two, "--results", str(tmp_path), "--capture", "server", timeout=300)
    found = runs.load(tmp_path / "latest")
    assert done.returncode == 0 or only_late(found), done.stdout + done.stderr
    assert len(found.checks) == 2
    stream, calls = found.summaries
    assert 29 * MS < figure(stream, "latency_p50_ns") < LATE_MS * MS  # one way, by the clocks of both machines
    assert 59 * MS < figure(calls, "latency_p50_ns") < LATE_MS * MS
    offsets = {clock.machine: clock for clock in found.clocks}
    for machine, seconds in (("east", 0), ("west", engines.AHEAD_SECONDS)):
        clock = offsets[machine]
        assert abs(clock.offset_ns - seconds * 1_000_000_000) <= clock.uncertainty_ns < LATE_MS * MS
    begun_ns = [event.begun_ns - event.due_ns for event in found.timeline]
    assert len(begun_ns) == 3 and all(0 <= late_ns < LATE_MS * MS for late_ns in begun_ns)  # noqa: PT018
    [capture] = found.captures
    assert capture.packets >= 2 * 10
    listed = subprocess.run(["tcpdump", "-nr", found.path / capture.file], capture_output=True, text=True, check=False)
    assert "UDP, length" in listed.stdout
    status = run("ps", "--json")
    [lab] = [each for each in json.loads(status.stdout) if each["lab"] == two]
    assert (lab["runtime"], lab["healthy"], lab["nodes"]) == ("swarm", True, {"client": "running", "server": "running"})


def test_a_node_that_restarts_gets_its_links_back(two, machines):
    machines[1].restart(f"testbed-{two}-server")
    deadline = time.monotonic() + 120
    while run("exec", two, "client", "--", "ping", "-c", "1", "-W", "1", "server").returncode:
        assert time.monotonic() < deadline
    assert min(round_trips_ms(two)) >= 60


def test_packets_of_both_families_cross_routers_and_wires_between_machines(wired, machines):
    east, west = machines
    ours, theirs = addresses(west, wired, "server")
    assert addresses(east, wired, "six")[0].startswith("2001:2:")
    assert eventually(lambda: answers(wired, "six", "r2"))
    for family, address in (("-4", ours), ("-6", theirs)):
        hops = east.within(wired, "client", "traceroute", family, "-n", "-q", "1", "-w", "20", address)
        found = re.findall(r"^ *\d+  (\S+)  ([0-9.]+) ms", hops, re.MULTILINE)
        wanted = [addresses(west, wired, "r1"), addresses(west, wired, "r2"), addresses(east, wired, "r3")]
        assert all(hop in has for (hop, _), has in zip(found, wanted, strict=False)), hops
        assert found[-1][0] == address, hops
        assert len(found) == len(wanted) + 1
        assert 60 <= float(found[-1][1]) < LATE_MS
    assert len(round_trips_ms(wired)) == 5


def test_a_wire_between_machines_carries_packets_of_1450_bytes_and_multicasts(wired, machines):
    east, west = machines
    to = addresses(west, wired, "r1")[0]
    for size, fits in ((1422, True), (1423, False)):  # and 28 of headers
        ping = f"ping -n -c 1 -w {PATIENCE_S if fits else 2} -M do -s {size} {to} || true"
        assert (" 1 received" in east.within(wired, "client", "sh", "-c", ping)) == fits

    def neighbours():
        said = east.within(wired, "client", "sh", "-c", "ping -6 -n -c 2 -i 1 ff02::1%wire0; true")
        return {line.split("%")[0].split()[-1] for line in said.splitlines() if "bytes from fe80" in line}

    assert eventually(lambda: len(neighbours()) == 2)  # the client itself, and r1 on the other machine
    watch = ["timeout", str(PATIENCE_S), "tcpdump", "-nn", "-c", "1", "-i", "eth0", f"udp port 4789 and host {west.ip}"]
    pinging = ["sh", "-c", east.command_within(wired, "client", "ping", "-w", str(PATIENCE_S), to)]
    with subprocess.Popen(pinging, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            assert "VXLAN" in east.inside(*watch)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_nodes_have_copies_of_files_of_this_machine(wired):
    done = run("exec", wired, "six", "--", "cat", "/srv/files/one", "/etc/one")
    assert done.stdout == "from here" * 2, done.stderr
    done = run("exec", wired, "six", "--", "touch", "/srv/files/two")
    assert "Read-only file system" in done.stderr


def test_a_wire_for_larger_packets_than_fit_between_machines_is_refused(machines, tmp_path, lab_name):
    path, hosts = tmp_path / "large.yml", json.dumps({each.name: each.address for each in machines})
    text = f"name: large\nhosts: {hosts}\nnodes: {{a: , b: }}\nlinks: [{{wire: [a, b], mtu: 1451}}]\n"
    path.write_text(text, encoding="utf-8")
    done = run("up", str(path), "--name", lab_name)
    assert done.returncode == 3, done.stderr
    assert "mtu-too-large: wire a-b is to carry packets of 1451 bytes" in done.stderr
    assert "eth0 there carries 1500, and a VXLAN 1450" in done.stderr


def test_a_router_that_restarts_gets_its_wires_back_and_down_leaves_nothing(wired, machines):
    """The last test of this lab."""
    west = machines[1]
    west.restart(*(f"testbed-{wired}-{node}" for node in ("r1", "r2", "server")))
    deadline = time.monotonic() + 120
    for node, *ping in (("client", "-4", "server"), ("client", "-6", "server"), ("six", "r2")):
        while not answers(wired, node, *ping):
            assert time.monotonic() < deadline
    assert min(round_trips_ms(wired)) >= 60
    [lab] = [each for each in json.loads(run("ps", "--json").stdout) if each["lab"] == wired]
    assert (lab["healthy"], lab["problem"]) == (True, "")
    assert run("down", wired).returncode == 0
    assert nothing_remains_on(machines, wired)


def test_a_swarm_that_is_too_busy_to_attach_containers_is_asked_again(machines, file, lab_name):
    """As one whose manager does not answer: the cable of the other machine is out until the Docker Engine gives up."""
    west = machines[1]
    with begin("up", str(file), "--name", lab_name, "--verbose", lab=lab_name) as process:
        said = []
        for line in map(bytes.decode, process.stderr):
            said.append(line)
            if "create 1 networks" in line:
                west.plug(is_in=False)
            if "is asked again" in line:
                west.plug(is_in=True)
        status = process.wait(WAIT_S)
    west.plug(is_in=True)
    assert (status, any("is asked again" in line for line in said)) == (0, True), "".join(said)
    assert eventually(lambda: answers(lab_name, "client", "server"))
    assert min(round_trips_ms(lab_name)) >= 60
    assert run("down", lab_name).returncode == 0
    assert nothing_remains_on(machines, lab_name)


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ({"west": "unix:///var/run/docker.sock"}, "no-swarm: the Docker Engine of machine west (unix:///var/run/"),
        ({"west": "no-such-context"}, "there is no Docker context 'no-such-context'"),
        ({"east": "west"}, "no-swarm-manager: none of the machines (east, west) is a manager"),
        ({"west": "east"}, "are the same Docker Engine"),
    ],
)
def test_machines_that_can_not_be_used_are_errors_before_anything_is_made(machines, tmp_path, lab_name, hosts, said):
    addresses = {each.name: each.address for each in machines}
    wanted = addresses | {name: addresses.get(address, address) for name, address in hosts.items()}
    path = tmp_path / "wrong.yml"
    path.write_text(FILE.format(**wanted), encoding="utf-8")
    done = run("up", str(path), "--name", lab_name)
    assert (done.returncode, said in done.stderr) == (3, True), done.stderr


def test_a_killed_agent_leaves_links_closed_and_down_leaves_nothing(two, machines):
    """The last test of this lab."""
    east, west = machines
    server = east.docker("exec", f"testbed-{two}-client", "getent", "hosts", "server").split()[0]

    def answers():
        command = f"ping -c 2 -i 0.2 -W 1 {server} || true"
        return " 0% packet loss" in east.docker("exec", f"testbed-{two}-client", "sh", "-c", command)

    assert eventually(answers)
    west.docker("kill", f"testbed-{two}.agent")
    assert not answers()
    west.restart(f"testbed-{two}-server")
    assert not answers()
    assert "machine west: " in run("ps").stdout
    done = run("down", two)
    assert done.returncode == 0, done.stderr
    assert nothing_remains_on(machines, two)
    assert remains(two) == []


def test_a_machine_that_vanishes_is_named_and_the_rest_is_removed(machines, file, lab_name, tmp_path):
    """The last test of this module: the machine does not come back."""
    east, west = machines
    assert run("up", str(file), "--name", lab_name).returncode == 0
    west.stop()
    named = f"machine west ({west.address}) does not answer any more"
    assert named in run("ps").stdout
    done = run("exec", lab_name, "client", "--", "true")
    assert (done.returncode, named in done.stderr) == (4, True), done.stderr
    done = run("run", lab_name, "--results", str(tmp_path))
    assert (done.returncode, named in done.stderr) == (4, True), done.stderr
    done = run("down", lab_name, timeout=100)
    assert (done.returncode, named in done.stderr) == (4, True), done.stderr
    assert [each for each in east.remains(lab_name) if not each.startswith("network")] == []  # the Swarm keeps that
