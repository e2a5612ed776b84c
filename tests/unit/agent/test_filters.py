"""Rules of a port in namespaces of this machine, tried with frames that another socket sends."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from testbed.agent import switch
from testbed.agent.filters import PortFilters
from testbed.agent.known_macs import known
from testbed.agent.match_rules import Addressed, Rule
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")

KNOWN, LINKED, UNKNOWN = "02:00:00:00:00:11", "02:00:00:00:01:11", "02:00:00:00:00:12"


def ip(*argv):
    subprocess.run(["ip", *argv], check=True)


@pytest.fixture
def route():
    """A netlink socket in a namespace with a bridge of two ports, `entry` and `port`, a link's device and a sink."""
    network = namespaces.new_network()
    try:
        with namespaces.inside(network), RouteSocket() as found:
            for scope in ("all", "default"):  # so that nothing sends anything of its own
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1", "ascii")
            for name in ("entry", "port", "link", "sink"):
                ip("link", "add", "name", name, "type", "veth", "peer", "name", f"{name}-far")
                for each in (name, f"{name}-far"):
                    ip("link", "set", "dev", each, "up")
            ip("link", "add", "name", "bridge", "type", "bridge", "mcast_snooping", "0")
            ip("link", "set", "dev", "bridge", "up")
            for name in ("entry", "port"):
                ip("link", "set", "dev", name, "master", "bridge")
            yield found
    finally:
        os.close(network)


def index(name):
    return socket.if_nametoindex(name)


def through(device):
    """The rules of a source all of whose packets go to a device."""
    return [Rule(None, index(device))]


def passed_by(source, count=3, tag=b""):
    """What becomes of frames from a source: each arrives behind the `port`, behind the `link`, or nowhere."""
    far = {}
    for name in ("port", "link"):
        far[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        far[name].bind((f"{name}-far", 3))
        far[name].settimeout(0.2)
    frame = b"\xff" * 6 + bytes.fromhex(source.replace(":", "")) + tag + b"\x88\xb5" + bytes(46)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("entry-far", 0))
        for _ in range(count):
            sender.send(frame)
    found = []
    for name, sock in far.items():
        with sock:
            try:
                while True:
                    if sock.recv(200)[6:12] == frame[6:12]:
                        found.append(name)
            except TimeoutError:
                continue
    return found


def test_a_closed_port_passes_nothing(route):
    filters = PortFilters(route, index("port"), index("sink"))
    assert passed_by(KNOWN) == ["port"] * 3
    filters.close()
    assert passed_by(KNOWN) == passed_by(UNKNOWN) == []
    assert filters.dropped() == 0  # there are no rules yet
    filters.clear()
    assert passed_by(KNOWN) == ["port"] * 3


@pytest.mark.parametrize("tags", ["", "81000005", "88a80005", "88a8000581000006"])
def test_a_rule_is_for_one_source_and_an_unknown_one_is_dropped_and_counted(route, tags):
    tag = bytes.fromhex(tags)
    filters = PortFilters(route, index("port"), index("sink"))
    filters.close()
    passed_by(UNKNOWN)
    filters.set_rules({KNOWN: [], LINKED: through("link")})
    assert passed_by(KNOWN, tag=tag) == ["port"] * 3
    assert passed_by(LINKED, tag=tag) == ["link"] * 3
    assert filters.dropped() == 0
    assert passed_by(UNKNOWN, tag=tag) == []
    assert filters.dropped() == 3


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("0806", "port"),  # ARP
        (f"86dd60000000 0020 3aff {'00' * 32} 87", "port"),  # a neighbour solicitation: ICMPv6 of type 135
        (f"86dd60000000 0020 3aff {'00' * 32} 88", "port"),  # a neighbour advertisement
        (f"86dd60000000 0020 3aff {'00' * 32} 80", "link"),  # an echo request
        (f"86dd60000000 0020 11ff {'00' * 32} 87", "link"),  # UDP
    ],
)
def test_on_an_open_network_what_finds_neighbours_passes_beside_the_link(route, what, place):
    filters = PortFilters(route, index("port"), index("sink"), is_open=True)
    filters.set_rules({LINKED: through("link")})
    assert passed_by(LINKED, tag=bytes.fromhex(what)) == [place] * 3


def test_on_an_open_network_unknown_sources_pass_and_nothing_remains_of_the_rules(route):
    filters = PortFilters(route, index("port"), index("sink"), is_open=True)
    filters.close()
    assert passed_by(UNKNOWN) == []
    filters.set_rules({KNOWN: [], LINKED: through("link")})
    assert passed_by(UNKNOWN) == passed_by(KNOWN) == ["port"] * 3
    assert passed_by(LINKED) == ["link"] * 3
    assert filters.dropped() == 0
    filters.clear()
    assert passed_by(LINKED) == ["port"] * 3
    shown = subprocess.run(
        ["tc", "filter", "show", "dev", "port", "egress"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == ""


def test_rules_are_replaced_removed_and_added(route):
    filters = PortFilters(route, index("port"), index("sink"))
    filters.set_rules({KNOWN: [], LINKED: through("link")})
    filters.set_rules({KNOWN: through("link"), UNKNOWN: []})
    assert passed_by(KNOWN) == ["link"] * 3
    assert passed_by(UNKNOWN) == ["port"] * 3
    assert passed_by(LINKED) == []


def test_no_packet_finds_a_rule_missing_while_it_changes(route):
    filters = PortFilters(route, index("port"), index("sink"))
    others: dict[str, list[Rule]] = {f"02:00:00:00:{number:02x}:11": [] for number in range(2, 200)}
    filters.set_rules({LINKED: [], **others})
    frame = b"\xff" * 6 + bytes.fromhex(LINKED.replace(":", "")) + b"\x88\xb5" + bytes(46)
    over = threading.Event()
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("entry-far", 0))

        def send():
            nonlocal sent
            while not over.is_set():
                sent += sender.send(frame) > 0

        thread = threading.Thread(target=send)
        thread.start()
        until = time.monotonic() + 1
        changes = 0
        while time.monotonic() < until or not sent:
            filters.set_rules({LINKED: through("link") if changes % 2 else [], **others})
            changes += 1
        over.set()
        thread.join()
    assert changes > 1
    assert filters.dropped() == 0


def test_a_rule_whose_device_has_gone_drops(route):
    filters = PortFilters(route, index("port"), index("sink"))
    filters.set_rules({LINKED: through("link")})
    ip("link", "delete", "dev", "link")
    ip("link", "add", "name", "link", "type", "veth", "peer", "name", "link-far")
    ip("link", "set", "link-far", "up")
    assert passed_by(LINKED) == []


def test_a_port_that_has_gone_is_an_error(route):
    filters = PortFilters(route, index("port"), index("sink"))
    ip("link", "delete", "port")
    with pytest.raises(OSError, match="No such device"):
        filters.close()
    assert filters.dropped() == 0


def test_devices_and_what_bridges_learn(route):
    (port,) = switch.devices(route, index("port"))
    assert (port.name, port.master, port.peer) == ("port", index("bridge"), index("port-far"))
    assert port.connected
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("port-far", 0))
        sender.send(b"\xff" * 6 + bytes.fromhex(KNOWN.replace(":", "")) + b"\x88\xb5" + bytes(46))
    assert switch.Learned(KNOWN, port.index) in switch.learned(route)


def shown(hook):
    command = ["tc", "filter", "show", "dev", "port", hook]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_rules_for_what_the_node_sends_to_a_mac_are_replaced_beside_the_others(route):
    filters = PortFilters(route, index("port"), index("sink"))
    machine = switch.named(route, "bridge").mac
    for device in ("link", "entry", "link"):
        own = Addressed(frozenset({"198.18.0.1", "fe80::/10"}), of_destination=True, rules=tuple(through(device)))
        filters.set_onward_rules(machine, (own, *through("link")))
        filters.set_rules({KNOWN: ()})
        assert shown("ingress").count(f"Egress Redirect to device {device})") >= 2
    filters.silence()
    filters.unsilence()
    assert "match c6120001/ffffffff at 16" in shown("ingress")
    filters.set_onward_rules(machine, ())
    filters.clear()
    assert shown("ingress") == shown("egress") == ""


def mac_of(number):
    return number.to_bytes(6).hex(":")


def test_macs_are_in_blocks_of_their_own_and_no_other_ones_are():
    numbers = [0x0242C6120002 + step for step in range(1000)] + [0x020000000011, 0xFEFFFFFFFFFF]
    found = known(map(mac_of, numbers))
    blocked = [block.first + step for block in found.blocks for step in range(block.size)]
    assert sorted([*blocked, *(int(mac.replace(":", ""), 16) for mac in found.single)]) == sorted(numbers)
    assert len(found.blocks) + len(found.single) < 25


def test_a_known_source_passes_by_its_block_its_neighbours_do_not_and_its_link_comes_first(route):
    first = int(KNOWN[:-2].replace(":", "") + "10", 16)
    block, before, after, linked = range(first, first + 16), first - 1, first + 16, mac_of(first + 3)
    filters = PortFilters(route, index("port"), index("sink"))
    filters.set_rules({linked: through("link")}, known(map(mac_of, block)))
    for number in block:
        assert passed_by(mac_of(number), 1) == ["link" if mac_of(number) == linked else "port"]
    assert passed_by(mac_of(before), 1) == passed_by(mac_of(after), 1) == []
    shown = subprocess.run(
        ["tc", "filter", "show", "dev", "port", "egress"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.count("match") < 8
    filters.set_rules({}, known(map(mac_of, block[8:])))
    for number in block:
        assert passed_by(mac_of(number), 1) == (["port"] if number in block[8:] else [])
    filters.clear()
    assert passed_by(mac_of(before), 1) == ["port"]
