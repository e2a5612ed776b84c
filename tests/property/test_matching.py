"""A packet takes the link that a reference classifier says: by the kernel's rules, and in what matches leave."""

import os
import select
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from testbed.agent.filters import PortFilters
from testbed.agent.match_rules import Rule
from testbed.agent.netlink import RouteSocket
from testbed.check.selection import choose
from testbed.linux import namespaces
from testbed.matching import Match, covers, merged
from testbed.workloads.kinds.ping.traffic import checksum
from tests.property.classifier import fields, takes

MAC, OTHER = "02:00:00:00:01:11", "02:00:00:00:02:11"
LINKS = ("one", "two", "three")
DEVICES = ("port", *LINKS)
_PATIENCE_S = 10
VLAN = bytes.fromhex("8100")

PORTS = [1, 2, 52, 53, 54, 1023, 1024, 2047, 2048, 32768, 65534, 65535]
PROTOCOLS, DSCPS = [6, 17, 132], [0, 46, 63]
some_ports = st.sampled_from(PORTS)
ranges = st.lists(st.tuples(some_ports, some_ports).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=3)
ports = ranges.map(merged)
no_ports = st.just(())


@st.composite
def matches(draw):
    """A match, of numbers that packets often have."""
    side = draw(st.sampled_from(["none", "either", "source", "destination", "both"]))
    protocols = [None, 6, 17, 132] if side != "none" else [None, 1, 6, 17, 58, 47]
    protocol, dscp = draw(st.sampled_from(protocols)), draw(st.sampled_from([None, None, 0, 46, 63]))
    assume(protocol is not None or dscp is not None or side != "none")
    return Match(
        protocol=protocol,
        dscp=dscp,
        port=draw(ports if side == "either" else no_ports),
        source_port=draw(ports if side in ("source", "both") else no_ports),
        destination_port=draw(ports if side in ("destination", "both") else no_ports),
    )


@st.composite
def packets(draw):
    """An IP packet, and its EtherType: options, fragments, any protocol."""
    protocol = draw(st.sampled_from([17, 17, 17, 6, 6, 1, 58, 132]))
    tos = draw(st.sampled_from([0, 46, 63])) << 2 | draw(st.sampled_from([0, 1, 3]))
    behind = struct.pack("!HH", draw(some_ports), draw(some_ports)) + bytes(16)
    if draw(st.booleans()):
        options = draw(st.sampled_from([0, 1, 2, 10]))
        fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2010, 0x0010]))
        length = 20 + 4 * options + len(behind)
        head = struct.pack("!BBHHHBBH", 0x45 + options, tos, length, 7, fragment, 64, protocol, 0)
        head += bytes([198, 18, 0, 1, 198, 18, 0, 2]) + b"\x01" * 4 * options
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + behind, 0x0800
    head = struct.pack("!IHBB", 6 << 28 | tos << 20, len(behind), protocol, 64)
    return head + bytes(32) + behind, 0x86DD


def first_of(lines, found):
    """The place of the first match that takes a packet with these fields; None if none does."""
    return next((place for place, match in enumerate(lines) if takes(match, found)), None)


@given(st.lists(matches(), max_size=3), matches(), st.lists(packets(), max_size=40))
def test_no_packet_is_left_for_a_match_that_others_cover(earlier, match, sent):
    if covers(earlier, match):
        for packet, ether_type in sent:
            found = fields(packet, ether_type)
            assert not takes(match, found) or any(takes(other, found) for other in earlier)


@given(st.lists(matches(), max_size=3, unique=True), st.integers(0, 3))
def test_probes_of_a_link_take_that_link(lines, place):
    match = lines[place] if place < len(lines) else None
    chosen = choose(match, lines, 61_000)
    if chosen is None:
        likely = [
            (protocol, dscp, (one, other))
            for protocol in PROTOCOLS
            for dscp in DSCPS
            for one in PORTS
            for other in PORTS
        ]
        assert not any(first_of(lines, found) == (None if match is None else place) for found in likely)
        return
    protocol = 17 if chosen.protocol is None else chosen.protocol
    found = protocol, chosen.dscp, (chosen.source_port, chosen.destination_port)
    assert first_of(lines, found) == (None if match is None else place)


@pytest.fixture(scope="module")
def switch():
    """A bridge with an `entry` and a `port`, three links' devices and a sink, in a namespace; and sockets at all."""
    if os.geteuid() != 0:
        pytest.skip("only root may make devices")
    network = namespaces.new_network()
    try:
        with namespaces.inside(network), RouteSocket() as route:
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1", "ascii")
            steps = ["link add name bridge type bridge mcast_snooping 0"]
            for name in ("entry", *DEVICES, "sink"):
                steps.append(f"link add name {name} type veth peer name {name}-far")
                steps += [f"link set dev {each} up" for each in (name, f"{name}-far")]
            steps += [f"link set dev {name} master bridge" for name in ("entry", "port")]
            steps.append("link set dev bridge up")
            subprocess.run(["ip", "-batch", "-"], input="\n".join(steps), text=True, check=True)
            heard = {}
            for name in DEVICES:
                heard[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                heard[name].bind((f"{name}-far", 3))
                heard[name].setblocking(False)  # noqa: FBT003  # the library's own
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind(("entry-far", 0))
            yield route, sender, heard
            for each in (sender, *heard.values()):
                each.close()
    finally:
        os.close(network)


def places_of(sender, heard, frames):
    """The device behind which each frame came out, in order; None if it came out nowhere."""
    for number, frame in enumerate(frames):
        sender.send(frame[:-4] + struct.pack("!I", number))
    found = [None] * len(frames)
    names = {sock: name for name, sock in heard.items()}
    while None in found and (ready := select.select(names, [], [], _PATIENCE_S)[0]):
        for sock in ready:
            found[int.from_bytes(sock.recv(200)[-4:], "big")] = names[sock]
    return found


def frame_of(mac, packet, ether_type, *, tags=b""):
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) + tags + ether_type.to_bytes(2, "big") + packet


@pytest.mark.parametrize("has_plain", [True, False])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    lists=st.lists(st.lists(matches(), max_size=2), min_size=1, max_size=3),
    sent=st.lists(packets(), min_size=8, max_size=40),
)
def test_the_kernel_sends_packets_where_the_reference_says(switch, has_plain, lists, sent):
    route, sender, heard = switch
    filters = PortFilters(route, socket.if_nametoindex("port"), socket.if_nametoindex("sink"))
    plain = [Rule(None, socket.if_nametoindex("three"))] if has_plain else []
    try:
        for lines in lists:  # one list takes the place of another
            rules = [Rule(match, socket.if_nametoindex(LINKS[place])) for place, match in enumerate(lines)]
            filters.set_rules({MAC: [*plain, *rules], OTHER: []})
            frames = [frame_of(MAC, *each) for each in sent]
            frames += [frame_of(MAC, packet, kind, tags=VLAN + bytes([0, 5])) for packet, kind in sent[:5]]
            expected = [first_of(lines, fields(*each)) for each in [*sent, *sent[:5]]]
            other = "three" if has_plain else "port"
            assert places_of(sender, heard, frames) == [other if place is None else LINKS[place] for place in expected]
            assert set(places_of(sender, heard, [frame_of(OTHER, *each) for each in sent])) == {"port"}
            arp = frame_of(MAC, b"\x00\x01\x08\x00" + bytes(40), 0x0806)
            packet, kind = sent[0]
            twice = frame_of(MAC, packet, kind, tags=bytes.fromhex("88a8002d") + VLAN + bytes([0x45, 0x00]))
            assert places_of(sender, heard, [arp, twice]) == [other, other]
    finally:
        filters.clear()


@pytest.mark.parametrize(("fragment", "place"), [(0, 0), (0x4000, 0), (0x2000, 0), (0x2010, 1), (0x0010, 1)])
def test_of_a_datagram_in_fragments_only_the_first_has_ports(switch, fragment, place):
    route, sender, heard = switch
    filters = PortFilters(route, socket.if_nametoindex("port"), socket.if_nametoindex("sink"))
    lines = [Match(protocol=17, port=((53, 53),)), Match(protocol=17)]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 7, fragment, 64, 17, 0) + bytes([198, 18, 0, 1, 198, 18, 0, 2])
    packet = head[:10] + struct.pack("!H", checksum(head)) + head[12:] + struct.pack("!HH", 53, 99) + bytes(16)
    assert first_of(lines, fields(packet, 0x0800)) == place
    try:
        filters.set_rules({MAC: [Rule(match, socket.if_nametoindex(LINKS[at])) for at, match in enumerate(lines)]})
        assert places_of(sender, heard, [frame_of(MAC, packet, 0x0800)]) == [LINKS[place]]
    finally:
        filters.clear()


def test_tables_of_replaced_rules_are_used_again(switch):
    route, sender, heard = switch
    filters = PortFilters(route, socket.if_nametoindex("port"), socket.if_nametoindex("sink"))
    match = Match(protocol=17, source_port=((1, 999),), destination_port=((53, 53),))
    device = socket.if_nametoindex("one")
    packet = bytes.fromhex("6000000000141140" + "00" * 32 + "00350035" + "00" * 16)
    try:
        for turn in range(700):  # which takes more tables than there are numbers
            filters.set_rules({MAC: [Rule(match, device if turn % 2 else None)]})
        assert places_of(sender, heard, [frame_of(MAC, packet, 0x86DD)]) == ["one"]
    finally:
        filters.clear()
