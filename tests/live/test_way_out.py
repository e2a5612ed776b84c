"""The way out of labs of network namespaces, on a machine of their own: a namespace that forwards nothing at first."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from testbed.runtime.state import LabDirectory
from tests.live.command_line import COMMAND, PATIENCE_S, WAIT_S, running
from tests.live.others import said

pytestmark = [pytest.mark.live, pytest.mark.netns]

NETWORKS = {"far": 1, "neighbour": 2}
"""Namespaces behind the machine, with the third byte of the addresses of their cables, less 240."""

DELAY_MS = 20

TOPOLOGY = f"""
name: out
networks: {{lan: {{internal: false}}}}
nodes:
  names:
    command: dnsmasq --keep-in-foreground --no-resolv --no-hosts --address=/inner.test/198.18.0.7
    ports: ["PORT:53/udp"]
  client:
links:
  - {{between: [client, internet], delay: {DELAY_MS}ms}}
"""


@pytest.fixture(scope="module")
def machine():
    """A machine that forwards nothing, with a firewall as the Docker Engine's, and two others behind it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a machine")
    with ExitStack() as stack:
        name = f"tb{secrets.token_hex(4)}"
        names = {"": name, **{each: f"{name}{each[0]}" for each in NETWORKS}}
        inside = {}
        for each in names.values():
            said("ip", "netns", "add", each)
            stack.callback(said, "ip", "netns", "del", each)
            inside[each] = ("ip", "netns", "exec", each)
            said(*inside[each], "ip", "link", "set", "lo", "up")
        for each, number in NETWORKS.items():
            far, near = ("ip", "-n", names[each]), ("ip", "-n", name)
            said(*near, "link", "add", each, "type", "veth", "peer", "name", "eth0", "netns", names[each])
            said(*near, "addr", "add", f"198.18.{240 + number}.1/30", "dev", each)
            said(*near, "link", "set", each, "up")
            said(*far, "addr", "add", f"198.18.{240 + number}.2/30", "dev", "eth0")
            said(*far, "link", "set", "eth0", "up")
            said(*far, "route", "add", "default", "via", f"198.18.{240 + number}.1")
        said(*inside[name], "sysctl", "-qw", "net.ipv4.ip_forward=0")
        said(*inside[name], "iptables", "-P", "FORWARD", "DROP")
        yield SimpleNamespace(
            inside=inside[name],
            far=inside[names["far"]],
            neighbour=inside[names["neighbour"]],
            name=name,
            far_name=names["far"],
            path=f"/run/netns/{name}",
        )


def address(name):
    return f"198.18.{240 + NETWORKS[name]}.2"


def run(machine, *argv):
    """Run a command of the testbed on the machine."""
    command = [*machine.inside, *COMMAND, *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


def state(machine):
    """All that a lab may change on the machine."""
    commands = (
        ("nft", "list", "ruleset"),
        ("iptables-save",),
        ("sysctl", "-ar", r"net\.ipv4\.(ip_forward|conf\..*\.forwarding)"),
        ("ip", "-br", "link"),
        ("ip", "route"),
        ("ss", "-tuan"),
    )
    volatile = re.compile(r"^#.*\n|counter packets \d+ bytes \d+|\[\d+:\d+\]", re.MULTILINE)
    return [volatile.sub("", said(*machine.inside, *command)) for command in commands]


def pings(*prefix, to):
    """Whether an address answers."""
    return not subprocess.run([*prefix, "ping", "-n", "-c2", "-i0.1", "-W2", to], check=False).returncode


def in_node(lab, *argv):
    return subprocess.run([*COMMAND, "exec", lab, "client", "--", *argv], capture_output=True, text=True, check=False)


def reaches(lab, to):
    return not in_node(lab, "ping", "-n", "-c2", "-i0.1", "-W2", to).returncode


def processes(lab):
    """The processes of a lab's agent, and among them those that are in the machine's pid namespace: its guardian."""
    called = LabDirectory("netns", lab).agent_name
    own = Path("/proc/self/ns/pid_for_children").readlink(), Path("/proc/self/ns/pid").readlink()
    found = [pid for pid in running("testbed.agent") if Path(f"/proc/{pid}/comm").read_text().strip() == called]
    return found, [pid for pid in found if Path(f"/proc/{pid}/ns/pid").readlink() in own]


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def eventually(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def written(tmp_path, port):
    path = tmp_path / f"{port}.yml"
    path.write_text(TOPOLOGY.replace("PORT", str(port)))
    return path


@pytest.fixture
def labs(lab_name, machine):
    """Two names of labs, which are taken down at the end."""
    names = lab_name, f"{lab_name}-b"
    yield names
    for name in names:
        if LabDirectory("netns", name).path.exists():
            run(machine, "down", name)


def test_a_machine_forwards_for_labs_only_and_as_long_as_there_is_one(machine, labs, tmp_path):
    one, other = labs
    before = state(machine)
    up = run(machine, "up", str(written(tmp_path, 5301)), "--name", one, "--runtime", "netns")
    assert up.returncode == 0, up.stderr
    assert reaches(one, address("far"))
    assert not pings(*machine.far, to=address("neighbour")), "the machine forwards for somebody else"

    taken = run(machine, "up", str(written(tmp_path, 5301)), "--name", other, "--runtime", "netns")
    assert taken.returncode == 4
    said_so = rf"5301.yml:7:12: port-in-use: node names publishes port 5301/udp of this machine, which lab {one} has"
    assert re.search(said_so, taken.stderr)

    up = run(machine, "up", str(written(tmp_path, 5302)), "--name", other, "--runtime", "netns")
    assert up.returncode == 0, up.stderr
    assert run(machine, "down", one).returncode == 0
    assert reaches(other, address("far")), "the way out of one lab went with that of another"
    agent, guardian = processes(other)
    kill({*agent} - {*guardian})
    eventually(lambda: state(machine) == before)
    assert run(machine, "down", other).returncode == 0


def test_who_switches_forwarding_on_meanwhile_has_it_also_when_the_lab_is_down(machine, labs, tmp_path):
    """As a Docker Engine that starts: it finds `ip_forward` off, and switches it on."""
    lab, _ = labs
    passing = ("FORWARD", "-i", "far", "-o", "neighbour", "-j", "ACCEPT")
    back = ("FORWARD", "-o", "far", "-i", "neighbour", "-j", "ACCEPT")
    for rule in (passing, back):
        said(*machine.inside, "iptables", "-I", *rule)
    try:
        up = run(machine, "up", str(written(tmp_path, 5305)), "--name", lab, "--runtime", "netns")
        assert up.returncode == 0, up.stderr
        assert reaches(lab, address("far"))
        assert not pings(*machine.far, to=address("neighbour")), "the machine forwards for somebody else"
        assert said(*machine.inside, "sysctl", "-n", "net.ipv4.ip_forward") == "0\n"
        said(*machine.inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        eventually(lambda: pings(*machine.far, to=address("neighbour")))
        assert reaches(lab, address("far"))
        assert run(machine, "down", lab).returncode == 0
        assert pings(*machine.far, to=address("neighbour"))
        assert said(*machine.inside, "sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    finally:
        said(*machine.inside, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        for rule in (passing, back):
            said(*machine.inside, "iptables", "-D", *rule)


def test_an_interface_that_appears_later_leads_out_too(machine, labs, tmp_path):
    lab, _ = labs
    before = state(machine)
    up = run(machine, "up", str(written(tmp_path, 5306)), "--name", lab, "--runtime", "netns")
    assert up.returncode == 0, up.stderr
    far, near = ("ip", "-n", machine.far_name), ("ip", "-n", machine.name)
    said(*near, "link", "add", "later", "type", "veth", "peer", "name", "eth1", "netns", machine.far_name)
    try:
        said(*near, "addr", "add", "198.18.249.1/30", "dev", "later")
        said(*far, "addr", "add", "198.18.249.2/30", "dev", "eth1")
        for device in ((*near, "link", "set", "later"), (*far, "link", "set", "eth1")):
            said(*device, "up")
        eventually(lambda: reaches(lab, "198.18.249.2"))
        assert not pings(*machine.neighbour, to="198.18.249.2"), "the machine forwards for somebody else"
    finally:
        said(*near, "link", "del", "later")
    assert run(machine, "down", lab).returncode == 0
    assert state(machine) == before


def test_down_removes_what_a_killed_agent_and_its_guardian_left(machine, labs, tmp_path):
    lab, _ = labs
    before = state(machine)
    up = run(machine, "up", str(written(tmp_path, 5303)), "--name", lab, "--runtime", "netns")
    assert up.returncode == 0, up.stderr
    everybody, guardian = processes(lab)
    kill(guardian)
    kill({*everybody} - {*guardian})
    assert state(machine) != before, "nothing is left to remove"
    assert run(machine, "down", lab).returncode == 0
    assert state(machine) == before


@contextmanager
def name_server(inside, listens):
    """A name server that knows one name."""
    argv = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--address=/outer.test/198.18.0.9"]
    argv += [f"--listen-address={listens}", "--bind-interfaces", "--pid-file="]
    with subprocess.Popen([*inside, *argv]) as server:
        try:
            yield
        finally:
            server.terminate()


@pytest.mark.parametrize("where", ["far", "loopback"])
def test_names_outside_resolve_and_a_published_name_server_answers(machine, labs, tmp_path, where):
    lab, _ = labs
    server, inside = (address("far"), machine.far) if where == "far" else ("127.0.0.1", machine.inside)
    files = {machine.name: server, machine.far_name: "198.18.241.1"}
    try:
        for name, nameserver in files.items():
            path = Path("/etc/netns", name, "resolv.conf")
            path.parent.mkdir(parents=True)
            path.write_text(f"nameserver {nameserver}\n")
        port = 53 if where == "far" else 5304
        with name_server(inside, server):
            up = run(machine, "up", str(written(tmp_path, port)), "--name", lab, "--runtime", "netns")
            assert up.returncode == 0, up.stderr
            assert in_node(lab, "getent", "ahostsv4", "outer.test").stdout.startswith("198.18.0.9 ")
        if where == "far":
            # The far machine asks the published port, where the node's own server listens by and by.
            ask = (*machine.far, "getent", "ahostsv4", "inner.test")
            eventually(lambda: said(*ask, check=False).startswith("198.18.0.7 "))
    finally:
        for name in files:
            Path("/etc/netns", name, "resolv.conf").unlink(missing_ok=True)
            Path("/etc/netns", name).rmdir()
