"""Frames that are more than unicast IP, as tcpdump shows them at their receivers, in each runtime with each engine."""

from __future__ import annotations

import re
import subprocess

import pytest

from testbed.errors import MachineError
from testbed.lab import Lab
from testbed.topology import loads
from tests import pings
from tests.contract.labs import NETEM_ONCE, own_lab
from tests.live.command_line import eventually

TOPOLOGY = """
name: layer2
nodes:
  a: {user: root, networks: {lan: {mac: "52:54:00:00:00:0a"}}}
  b: {networks: {lan: {mac: "52:54:00:00:00:0b", mtu: 1400}}}
  other: {networks: [lan]}
links:
  - {between: [a, b], delay: 20ms}
  - {from: a, to: b, match: {protocol: udp, destination_port: 5353}, delay: 60ms}
"""

SEND = """
import socket, struct, sys, time
from ipaddress import ip_address
def packet(source, destination, port):
    udp = struct.pack("!HHHH", 4000, port, 8 + 60, 0)
    ends = (ip_address(each).packed for each in (source, destination))
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 68, 7, 0, 8, 17, 0, *ends)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", 0xFFFF - (total & 0xFFFF) - (total >> 16)) + head[12:]
    return head + udp
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind(("eth0", 0))
    mac = sock.getsockname()[4]
    for name, to, tags, source, destination, port in (each.split(",") for each in sys.argv[1:]):
        for _ in range(3):
            text = f"marked {name} {time.time_ns()} end".encode()
            frame = bytes.fromhex(to) + mac + bytes.fromhex(tags + "0800")
            sock.send(frame + packet(source, destination, int(port)) + text.ljust(60))
            time.sleep(0.01)
"""

A = bytes.fromhex("52540000000a")
BROADCAST, GROUP, B = "ffffffffffff", "01005e010203", "52540000000b"
ENDLESS_MS = 60_000

FRAMES = {
    "plain": (B, "", "{b}", 6000, 20),
    "matched": (B, "", "{b}", 5353, 60),
    "broadcast": (BROADCAST, "", "255.255.255.255", 6000, 20),
    "broadcast-matched": (BROADCAST, "", "255.255.255.255", 5353, 60),
    "multicast": (GROUP, "", "239.1.2.3", 6000, 20),
    "multicast-matched": (GROUP, "", "239.1.2.3", 5353, 60),
    "customer": (B, "81006064", "{b}", 6000, 20),
    "customer-multicast-matched": (GROUP, "81000064", "239.1.2.3", 5353, 60),
    "provider": (GROUP, "88a80064", "239.1.2.3", 6000, 20),
    "double": (BROADCAST, "88a80064810000c8", "255.255.255.255", 6000, 20),
}
"""Destination MAC, tags, destination address and port of each frame, and the delay of its link from a to b, ms."""


@pytest.fixture(params=NETEM_ONCE)
def lab(request, lab_name):
    with own_lab(TOPOLOGY, lab_name, request.param) as lab:
        yield lab


def released(lab):
    """How many packets the links from a to b have let out so far."""
    return sum(link.counts.packets_out for link in lab.statistics() if (link.source, link.destination) == ("a", "b"))


def arrived(pcap):
    """From tcpdump: by the name of the frame, what is between MACs and IP header, and the least time on its way, ms."""
    shown = subprocess.run(
        ["tcpdump", "-n", "-tt", "-xx", "-r", pcap], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, tuple[int, str, float]] = {}
    for time, text in re.findall(r"^(\d+\.\d+) .*((?:\n\s+0x.*)+)", shown, flags=re.MULTILINE):
        frame = bytes.fromhex(re.sub(r"\s+0x[0-9a-f]+:|\s", "", text))
        marked = re.search(rb"marked (\S+) (\d+) end", frame)
        if marked and frame[6:12] == A:  # the answers to some of them, ICMP errors, quote them
            name, took = marked[1].decode(), float(time) * 1e3 - int(marked[2]) / 1e6
            count, _, least = found.get(name, (0, "", ENDLESS_MS))
            found[name] = count + 1, frame[12 : frame.index(b"\x08\x00\x45")].hex(), min(least, took)
    return found


def test_tags_broadcasts_and_multicasts_pass_unchanged_by_the_links_that_they_fit(lab, tmp_path):
    address = {node.name: node.interfaces[0].address for node in lab.plan.nodes}
    frames = [
        f"{name},{to},{tags},{address['a']},{there.format(**address)},{port}"
        for name, (to, tags, there, port, _) in FRAMES.items()
    ]
    before = released(lab)
    with lab.capture("b", tmp_path / "b.pcap"), lab.capture("other", tmp_path / "other.pcap"):
        sent = lab["a"].run(["python3", "-c", SEND, *frames])
        assert sent.status == 0, sent.stderr
        assert eventually(lambda: released(lab) - before >= 3 * len(FRAMES))
        lab["a"].run(["sleep", "0.5"])  # others of a node, such as ARP's, count too
    at_b, at_other = arrived(tmp_path / "b.pcap"), arrived(tmp_path / "other.pcap")
    assert {name: (count, tags) for name, (count, tags, _) in at_b.items()} == {
        name: (3, tags) for name, (_, tags, *_) in FRAMES.items()
    }
    assert [name for name, (*_, delay_ms) in FRAMES.items() if at_b[name][2] < delay_ms] == []
    for_all = {name for name, (to, *_) in FRAMES.items() if to != B}
    # A switch that has not learned yet where b is sends what is for b there too.
    assert {name for name, (count, *_) in at_other.items() if count == 3} >= for_all
    for link in lab.statistics():
        assert not link.counts.oversize
        assert not link.counts.send_failures


def test_mac_and_mtu_are_those_of_the_file_also_after_a_restart(lab):
    shown = {node: lab[node].run(["ip", "-o", "link", "show", "eth0"]).stdout for node in ("a", "b")}
    assert "link/ether 52:54:00:00:00:0a" in shown["a"]
    assert "link/ether 52:54:00:00:00:0b" in shown["b"]
    assert " mtu 1400 " in shown["b"]
    whole = ("-M", "do", "-s")
    assert lab["a"].run(pings.until_answered("b", *whole, "1372", count=1)).status == 0
    too_big = lab["a"].run(["ping", "-n", "-c1", "-W2", *whole, "1472", "b"])
    assert too_big.status == 1, "b takes no larger packets, and nobody says so: a black hole"
    assert lab["a"].run(pings.until_answered("other", *whole, "1472", count=1)).status == 0
    if lab.runtime != "docker":
        return
    subprocess.run(["docker", "restart", "-t0", f"testbed-{lab.name}-b"], check=True, capture_output=True)
    assert eventually(lambda: not lab.attachments().problems)
    shown_again = lab["b"].run(["ip", "-o", "link", "show", "eth0"]).stdout
    assert "link/ether 52:54:00:00:00:0b" in shown_again
    assert " mtu 1400 " in shown_again


@pytest.mark.docker
def test_a_mac_that_the_docker_engine_can_not_give_is_refused_before_anything_is_made(lab_name):
    asked = ["docker", "version", "--format", "{{.Server.APIVersion}}"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    if tuple(map(int, version.split("."))) >= (1, 44):
        pytest.skip("this Docker Engine gives containers a MAC on each network")
    networks = '{one: , two: {mac: "52:54:00:00:00:0a"}}'
    text = f"{{name: macs, networks: {{one: , two: }}, nodes: {{a: {{networks: {networks}}}}}}}"
    with pytest.raises(MachineError, match=r"mac-not-possible: node a, network two: .*first of its networks"):
        Lab.up(loads(text, "test.yml"), name=lab_name, runtime="docker")
