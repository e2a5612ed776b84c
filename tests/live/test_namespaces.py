"""Network namespaces of anybody as nodes: cabled with each other, or on a bridge of the machine or of a namespace.

All is seen by iproute2, ping and tcpdump, which nobody of the testbed wrote.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest

from testbed.errors import LabError, MachineError, UsageError
from testbed.lab import Lab, attached, resolve
from testbed.runtime import load
from testbed.runtime.state import LabDirectory
from testbed.topology import TopologyError, loads
from tests.live.command_line import eventually, run

pytestmark = [
    pytest.mark.live,
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter namespaces of others"),
]

SUBNET = "198.18.236"
ROUND_TRIP_MS = 80
ENGINES = ["userspace", pytest.param("netem", marks=pytest.mark.netem)]


def said(*argv, check=True):
    return subprocess.run(argv, capture_output=True, text=True, check=check).stdout


class Namespaces:
    """Somebody's network namespaces `a` and `b`, and how they are connected."""

    def __init__(self, kind):
        self.kind = kind
        self.tag = f"tbns{secrets.token_hex(2)}"
        self.bridge = f"{self.tag}br"
        self.names = {each: f"{self.tag}-{each}" for each in "ab"}
        self.switch = ("ip", "-n", f"{self.tag}-s") if kind == "bridge of a namespace" else ("ip",)
        for name in self.names.values():
            said("ip", "netns", "add", name)
        if kind == "bridge of a namespace":
            said("ip", "netns", "add", f"{self.tag}-s")
        if kind == "cable":
            a, b = self.names.values()
            said("ip", "link", "add", "eth0", "netns", a, "type", "veth", "peer", "eth0", "netns", b)
        else:
            said(*self.switch, "link", "add", self.bridge, "type", "bridge")
            said(*self.switch, "link", "set", self.bridge, "up")
            if kind == "bridge":  # which firewalls of the machine may close, as Docker's does
                self.forwarding("-I")
            for each in self.names:
                self.plug(each)
        for each in self.names:
            self.configure(each)

    def forwarding(self, change):
        if shutil.which("iptables"):
            said("iptables", change, "FORWARD", "-i", self.bridge, "-o", self.bridge, "-j", "ACCEPT", check=False)

    def plug(self, each):
        """Connect a namespace to the bridge."""
        self.plug_in(self.names[each], f"{self.tag}{each}")

    def plug_in(self, name, port):
        peer = ("peer", "eth0", "netns", name)
        said(*self.switch, "link", "add", port, "type", "veth", *peer)
        said(*self.switch, "link", "set", port, "master", self.bridge, "up")

    def configure(self, each):
        said("ip", "-n", self.names[each], "address", "add", f"{self.address(each)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            said("ip", "-n", self.names[each], "link", "set", device, "up")

    def address(self, each):
        return f"{SUBNET}.{ord(each)}"

    def inside(self, each, *argv, check=True):
        return said("ip", "netns", "exec", self.names[each], *argv, check=check)

    def pings(self, source, target, *options):
        """The round trips, ms; without options of two packets that are answered, however late."""
        argv = ["ping", "-n", "-W2", *(options or ("-c2", "-i0.1", "-w60")), self.address(target)]
        return [float(each) for each in re.findall(r"time=([\d.]+) ms", self.inside(source, *argv, check=False))]

    def snapshot(self):
        """All that must be as before: devices with their queues, qdiscs, filters, offloads, neighbours and settings."""
        found = []
        places: list[tuple[str, ...]] = [("ip", "netns", "exec", name) for name in self.names.values()]
        devices = ["eth0", "eth0"]
        if self.kind != "cable":
            places += [("ip", "netns", "exec", f"{self.tag}-s") if len(self.switch) > 1 else ()] * 2
            devices += [f"{self.tag}a", f"{self.tag}b"]
        for place, device in zip(places, devices, strict=True):
            found += [f"{device} {line}" for line in said(*place, "ip", "-o", "link", "show", device).splitlines()]
            for what, *hook in (("qdisc",), ("filter",), ("filter", "egress"), ("filter", "ingress")):
                argv = ("tc", what, "show", "dev", device, *hook)
                found += [f"{device} {what} {hook} {line}" for line in said(*place, *argv, check=False).splitlines()]
            found += said(*place, "ethtool", "-k", device).splitlines()
        for name in self.names.values():
            for line in said("ip", "netns", "exec", name, "sysctl", "-a", "-r", r"^net\.ipv[46]\.").splitlines():
                found += [line] if "stable_secret" not in line else []
            neighbours = json.loads(said("ip", "-n", name, "-j", "neigh") or "[]")
            found += [f"{each['dst']} {each.get('lladdr')}" for each in neighbours if "PERMANENT" in each["state"]]
        links = [json.loads(said(*place, "ip", "-j", "link")) for place in {*places}]
        found += [f"device {each['ifname']}" for some in links for each in some if self.tag in each["ifname"]]
        return found

    def devices_of(self, lab):
        """Devices of a lab in any of the namespaces."""
        places = [*(("ip", "-n", name) for name in self.names.values()), self.switch]
        found = [each for place in places for each in json.loads(said(*place, "-j", "link"))]
        return [each["ifname"] for each in found if each.get("ifalias", "").startswith(f"testbed {lab} ")]

    def remove(self):
        for name in (*self.names.values(), f"{self.tag}-s"):
            said("ip", "netns", "delete", name, check=False)
        said("ip", "link", "delete", self.bridge, check=False)
        if self.kind == "bridge":
            self.forwarding("-D")


@contextmanager
def connected_by(kind):
    made = Namespaces(kind)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module", params=["cable", "bridge", "bridge of a namespace"])
def spaces(request):
    with connected_by(request.param) as made:
        yield made


TOPOLOGY = """
name: spaces
nodes: {{a: {{namespace: {a}}}, b: {{namespace: /run/netns/{b}}}}}
links: [{{between: [a, b], delay: 40ms}}]
workloads:
  - {{name: rpc, kind: tcp-rr, from: a, to: b, count: 5}}
timeline: [{{at: 100ms, link: {{from: a, to: b}}, delay: 60ms}}]
expect: [rpc.latency.min >= 80ms]
capture: [b]
sockets: [a]
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_namespaces_are_impaired_measured_and_given_back(spaces, engine, lab_name, tmp_path):
    assert min(spaces.pings("a", "b")) < ROUND_TRIP_MS
    before = spaces.snapshot()
    topology = loads(TOPOLOGY.format(**spaces.names), "spaces.yml")
    with Lab.up(topology, name=lab_name, engine=engine) as lab:
        assert lab.runtime == "netns"
        for source, target in ("ab", "ba"):
            assert min(spaces.pings(source, target)) >= ROUND_TRIP_MS
        assert [check.problem for check in lab.check(budget_s=10)] == [None, None]
        found = lab.run(tmp_path, check=False)
        assert [outcome.passed for outcome in found.outcomes] == [True]
        assert list(found.path.rglob("*.pcap*"))
        assert f"{spaces.address('a')}/24" in lab["a"].run(["ip", "-o", "address"]).stdout
        lab.link("a", "b").update(delay="200ms")
        assert min(spaces.pings("a", "b")) >= 240
    assert min(spaces.pings("a", "b")) < ROUND_TRIP_MS
    assert spaces.snapshot() == before
    assert not spaces.devices_of(lab_name)


@contextmanager
def captured(spaces, each, packets):
    """The times at which echo requests and replies pass the interface of a namespace, as tcpdump sees them."""
    argv = ["ip", "netns", "exec", spaces.names[each], "timeout", "60", "tcpdump", "-tt", "-n", "-i", "eth0",
            "-c", str(packets), "icmp"]  # fmt: skip
    times: dict[tuple[str, int], float] = {}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True) as program:
        assert any("listening" in line for line in program.stderr or ())
        yield times
        found, _ = program.communicate()
        for at, kind, number in re.findall(r"^([\d.]+) .* echo (request|reply), .* seq (\d+)", found, re.MULTILINE):
            times[kind, int(number)] = float(at)


def test_the_command_impairs_one_direction(lab_name):
    """A capture at an end of a cable shows what the node receives, and what it sends without impairments."""
    with connected_by("cable") as spaces:
        _one_direction(spaces, lab_name)


def _one_direction(spaces, lab_name):
    a, b = spaces.names["a"], spaces.names["b"]
    link = ["--link", f"{a}->{b}", "delay=40ms"]
    done = run("attach", "--namespace", a, b, "--name", lab_name, *link, "--no-check", lab=lab_name)
    assert done.returncode == 0, done.stderr
    try:
        with captured(spaces, "a", 5) as at_a, captured(spaces, "b", 10) as at_b:
            assert min(spaces.pings("a", "b", "-c5", "-i0.1")) >= ROUND_TRIP_MS / 2
        assert min(at_a["reply", number] - at_b["reply", number] for number in range(1, 6)) < 0.04
        again = run("attach", "--namespace", a, b, "--name", lab_name, *link, "--no-check", lab=lab_name)
        assert again.returncode == 0
        assert "attached already; nothing changed" in again.stderr + again.stdout
        other = run("attach", "--namespace", a, b, "--name", f"{lab_name}-2", *link, lab=lab_name)
        assert other.returncode == LabError.exit_code
        assert "port-in-use" in other.stderr
    finally:
        assert run("detach", lab_name).returncode == 0
    assert not spaces.devices_of(lab_name)


@pytest.mark.parametrize(
    ("kind", "guardian"), [("cable", "guardian"), ("cable", "no guardian"), ("bridge of a namespace", "no guardian")]
)
def test_a_killed_agent_leaves_everything_as_it_was(kind, guardian, lab_name):
    with connected_by(kind) as spaces:
        spaces.pings("a", "b")
        before = spaces.snapshot()
        links = {"x": {"between": list(spaces.names.values()), "delay": "40ms"}}
        lab = Lab.up(attached(list(spaces.names.values()), links, namespaces=True, name=lab_name))
        try:
            agent = lab.agent.hello().pid
            name = LabDirectory("netns", lab_name).agent_name
            others = [int(pid) for pid in said("pgrep", "--exact", name).split() if int(pid) != agent]
            for pid in (*(others if guardian == "no guardian" else ()), agent):
                os.kill(pid, signal.SIGKILL)
            if guardian == "guardian":
                assert eventually(lambda: "as they were before" in run("ps").stdout)
            else:
                assert not spaces.pings("a", "b", "-c1")  # neither of them is there to put anything back
        finally:
            assert run("detach", lab_name).returncode == 0
        assert spaces.snapshot() == before
        assert spaces.pings("a", "b")
        assert not spaces.devices_of(lab_name)


def lab_line(lab):
    return next((line for line in run("ps").stdout.splitlines() if line.startswith(f"{lab} ")), "")


def test_a_namespace_that_is_made_anew_on_a_bridge_has_its_links(lab_name):
    with connected_by("bridge of a namespace") as spaces:
        links = {"x": {"between": list(spaces.names.values()), "delay": "40ms"}}
        with Lab.up(attached(list(spaces.names.values()), links, namespaces=True, name=lab_name)):
            said("ip", "netns", "delete", spaces.names["b"])
            assert eventually(lambda: "network namespace" in lab_line(lab_name))
            assert f"{spaces.names['b']} has gone" in lab_line(lab_name)
            before = f"{spaces.tag}b@"  # the kernel removes what was in a namespace a moment after its name has gone
            assert eventually(lambda: before not in said(*spaces.switch, "-br", "link", "show"))
            said("ip", "netns", "add", spaces.names["b"])
            with subprocess.Popen(["ip", "netns", "exec", spaces.names["b"], "sleep", "inf"]) as visitor:
                spaces.plug("b")
                spaces.configure("b")
                assert eventually(lambda: " up " in lab_line(lab_name))
                visitor.kill()
            assert " up " in lab_line(lab_name)  # a process that was in it is not the node
            for source, target in ("ab", "ba"):
                assert min(spaces.pings(source, target)) >= ROUND_TRIP_MS
            said("ip", "netns", "add", f"{spaces.tag}-c")
            try:
                spaces.names["c"] = f"{spaces.tag}-c"
                spaces.plug("c")
                spaces.configure("c")
                assert eventually(lambda: spaces.pings("c", "a", "-c1"))
                assert min(spaces.pings("c", "a")) < ROUND_TRIP_MS
                port = f"{spaces.tag}c"
                place = ("ip", "netns", "exec", f"{spaces.tag}-s")
                assert eventually(lambda: "clsact" not in said(*place, "tc", "qdisc", "show", "dev", port))
            finally:
                said("ip", "netns", "delete", f"{spaces.tag}-c")
                del spaces.names["c"]


def test_a_cable_that_has_gone_is_said_and_holds_nothing(lab_name):
    with connected_by("cable") as spaces:
        links = {"x": {"between": list(spaces.names.values()), "delay": "40ms"}}
        with Lab.up(attached(list(spaces.names.values()), links, namespaces=True, name=lab_name)):
            said("ip", "netns", "delete", spaces.names["b"])
            assert eventually(lambda: f"{spaces.names['b']} has gone" in lab_line(lab_name))
            assert eventually(lambda: "eth0" not in spaces.inside("a", "ip", "-o", "link"))
            assert run("check", lab_name).returncode == LabError.exit_code
        assert not [each for each in said("ip", "netns", "list").splitlines() if spaces.names["b"] in each]


def test_what_is_no_port_is_refused_with_the_reason(lab_name):
    with connected_by("cable") as spaces:
        a, _ = spaces.names.values()
        said("ip", "netns", "add", f"{spaces.tag}-s")
        for text, reason in (
            (f"{{a: {{namespace: {os.getpid()}}}}}", "the machine's own"),
            (f"{{a: {{namespace: {spaces.tag}-s}}}}", "it has no interface"),
            ("{a: {namespace: no-such}}", "there is no such namespace"),
            ("{a: {namespace: 'a b'}}", "no network namespace's name, pid or path"),
            (f"{{a: {{namespace: {a}}}, b: }}", "a file has one kind or the other"),
            (f"{{a: {{namespace: {a}, cpus: 1}}}}", "what runs already is taken as it is"),
        ):
            with pytest.raises(TopologyError, match=reason):
                resolve(loads(f"name: x\nnodes: {text}", "x.yml"))
        said("ip", "-n", a, "link", "add", "link", "eth0", "name", "child", "type", "macvlan")
        said("ip", "-n", a, "link", "set", "child", "netns", f"{spaces.tag}-s")
        with pytest.raises(TopologyError, match="child is a macvlan device"):
            resolve(loads(f"name: x\nnodes: {{a: {{namespace: {spaces.tag}-s}}}}", "x.yml"))
        with pytest.raises(MachineError, match="nothing of a Docker Engine's"):
            load("docker").discover([a])
        same = run("attach", "--namespace", a, f"/run/netns/{a}", "--link", f"{a},{a}", "delay=1ms")
        assert same.returncode == UsageError.exit_code
