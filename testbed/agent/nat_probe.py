"""Finds out how a NAT behaves, as RFC 5780 does: by packets between it and two addresses with two ports outside.

The packets begin and end at the ports of the router, on the switch side, beneath the impairments of links. No node gets
any of them: for the time of the probe, the router has routes to addresses that no node has.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, product
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent.messages import NatObservation
from testbed.agent.netlink import CREATE, REPLACE, RouteSocket, attribute
from testbed.agent.nodes import devices_of
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.agent.messages import ProbeNat
    from testbed.agent.ports import Port
    from testbed.agent.wiring import Wiring

# include/uapi/linux/rtnetlink.h, neighbour.h, if_packet.h and if_ether.h
_NEW_ROUTE, _DEL_ROUTE, _NEW_NEIGHBOUR, _DEL_NEIGHBOUR = 24, 25, 28, 29
_RTMSG, _NDMSG = struct.Struct("=BBBBBBBBI"), struct.Struct("=BxxxiHBB")
_DESTINATION, _DEVICE, _NEIGHBOUR, _NEIGHBOUR_MAC = 1, 4, 1, 2
_MAIN_TABLE, _STATIC, _LINK_SCOPE, _UNICAST, _PERMANENT = 254, 4, 253, 1, 0x80
_QDISC_BYPASS, _OUTGOING, _ALL = 20, 4, 3
_SOL_PACKET = 263

_MAC = bytes.fromhex("02545300004e")
"""Of everybody outside and inside: no device has it, so that a bridge delivers these packets to none."""

_ETHERNET, _IP, _UDP = struct.Struct("!6s6sH"), struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHHH")
_TOKEN = struct.Struct("!8sI")
_MAGIC = b"nat?prob"
_HEADERS = _ETHERNET.size + _IP.size + _UDP.size
_IPV4, _DONT_FRAGMENT, _UDP_NUMBER, _TTL = 0x0800, 0x4000, 17, 64

_REPEAT_SECONDS, _REPEATS = 0.25, 20
_REMOTE_PORTS = 3478, 3479  # of STUN (RFC 8489, RFC 5780)
_FIRST_PORT, _LAST_PORT = 20000, 30000
_NS = 1e9


class _Endpoint(NamedTuple):
    address: str
    port: int


class _ProbePacket(NamedTuple):
    source: _Endpoint
    destination: _Endpoint


@dataclass(slots=True)
class _Side:
    """One side of the router: a packet socket at its port there."""

    port: Port
    channel: socket.socket

    def send(self, source: _Endpoint, destination: _Endpoint, number: int) -> None:
        """Send a datagram to the router."""
        payload = _TOKEN.pack(_MAGIC, number)
        udp = _UDP.pack(source.port, destination.port, _UDP.size + len(payload), 0) + payload
        ends = (socket.inet_aton(source.address), socket.inet_aton(destination.address))
        head = (0x45, 0, _IP.size + len(udp), 0, _DONT_FRAGMENT, _TTL, _UDP_NUMBER)
        ip = _IP.pack(*head, _checksum(_IP.pack(*head, 0, *ends)), *ends)
        self.channel.send(_ETHERNET.pack(bytes.fromhex(self.port.mac.replace(":", "")), _MAC, _IPV4) + ip + udp)


class _Prober:
    """Sends datagrams through a NAT, and notes which of them arrive."""

    def __init__(self, inside: _Side, outside: _Side) -> None:
        self.inside, self.outside = inside, outside
        self._numbers = count(1)
        self._ports = count(_FIRST_PORT + time.monotonic_ns() % (_LAST_PORT - _FIRST_PORT))
        self._arrived: dict[int, _ProbePacket] = {}
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()
        for side in (inside, outside):
            loop.add_reader(side.channel, self._receive, side.channel)

    def close(self) -> None:
        """Receive nothing more."""
        for side in (self.inside, self.outside):
            asyncio.get_running_loop().remove_reader(side.channel)

    def endpoint(self, address: str) -> _Endpoint:
        """Return an endpoint that was not used yet."""
        return _Endpoint(address, next(self._ports))

    def _receive(self, channel: socket.socket) -> None:
        frame, (_, _, direction, *_) = channel.recvfrom(2048)
        if direction == _OUTGOING or len(frame) != _HEADERS + _TOKEN.size:
            return
        magic, number = _TOKEN.unpack_from(frame, _HEADERS)
        if magic == _MAGIC:
            source, destination = frame[26:30], frame[30:34]
            ports = _UDP.unpack_from(frame, _ETHERNET.size + _IP.size)
            self._arrived[number] = _ProbePacket(
                _Endpoint(socket.inet_ntoa(source), ports[0]), _Endpoint(socket.inet_ntoa(destination), ports[1])
            )
            self._news.set()

    async def send(self, side: _Side, source: _Endpoint, destination: _Endpoint) -> _ProbePacket | None:
        """Send a datagram, again and again until it arrives on the other side; None if it never does."""
        number = next(self._numbers)
        for _ in range(_REPEATS):
            side.send(source, destination, number)
            if found := await self._wait(number, _REPEAT_SECONDS):
                return found
        return None

    async def _wait(self, number: int, seconds: float) -> _ProbePacket | None:
        end = time.monotonic() + seconds
        while number not in self._arrived and (left := end - time.monotonic()) > 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                break
        return self._arrived.get(number)

    async def map(self, local: _Endpoint, remote: _Endpoint) -> _Endpoint:
        """Send from inside to outside, and return the endpoint that it seems to come from there.

        Raises:
            LabError: `nat-unprobed`.
        """
        found = await self.send(self.inside, local, remote)
        if found is None:
            raise LabError(
                "nat-unprobed", f"a packet from {local.address} does not get through {self.inside.port.node}"
            )
        return found.source

    async def gets_in(
        self, side: _Side, source: _Endpoint, destination: _Endpoint, *, after: tuple[_Endpoint, _Endpoint]
    ) -> _ProbePacket | None:
        """Send a datagram once, and return what arrived of it; None if nothing did.

        Args:
            side: where it is sent.
            source: its sender.
            destination: of it.
            after: two endpoints, of a datagram from outside that gets in for certain, sent afterwards: when this one is
                there, the other one has had its time.

        Raises:
            LabError: `nat-unprobed`: that one does not arrive either.
        """
        number = next(self._numbers)
        side.send(source, destination, number)
        if await self.send(self.outside, *after) is None:
            raise LabError("nat-unprobed", f"an answer does not get through {self.inside.port.node}")
        return await self._wait(number, 0)


async def observe(wiring: Wiring, call: ProbeNat) -> NatObservation:
    """Find out how a NAT behaves towards one network outside.

    Raises:
        LabError: `nat-unprobed`: it lets nothing through; `port-gone`, `node-stopped`.
    """
    inside, outside = wiring.port(call.node, call.inside), wiring.port(call.node, call.outside)
    with ExitStack() as stack:
        sides = (stack.enter_context(_side(inside)), stack.enter_context(_side(outside)))
        ways = {inside.interface: call.inside_addresses, outside.interface: call.outside_addresses}
        stack.enter_context(_ways(wiring, call.node, ways))
        prober = _Prober(*sides)
        stack.callback(prober.close)
        return await _observe(prober, call)


async def _observe(prober: _Prober, call: ProbeNat) -> NatObservation:
    remotes = [_Endpoint(*end) for end in product(call.outside_addresses, _REMOTE_PORTS)]
    local, other = call.inside_addresses
    mapped = await _mapped(prober, prober.endpoint(local), remotes)
    target = prober.endpoint(local)
    port = await prober.map(target, remotes[0])
    answer = remotes[0], port
    from_address = await prober.gets_in(prober.outside, remotes[3], port, after=answer)
    from_port = await prober.gets_in(prober.outside, remotes[1], port, after=answer)
    return NatObservation(
        mapped=tuple(found.port for found in mapped),
        lets_in_addresses=from_address is not None,
        lets_in_ports=from_port is not None,
        hairpins=await _hairpins(prober, (prober.endpoint(local), prober.endpoint(other)), remotes[0]),
        lasts=await _lasts(prober, local, remotes[0], call.timeout_ns) if call.timeout_ns else None,
    )


async def _mapped(prober: _Prober, local: _Endpoint, remotes: list[_Endpoint]) -> list[_Endpoint]:
    return [await prober.map(local, remote) for remote in remotes]


async def _hairpins(prober: _Prober, locals_: tuple[_Endpoint, _Endpoint], remote: _Endpoint) -> bool:
    """Whether two endpoints inside that send to each other by their endpoints outside get what the other one sends."""
    first, second = locals_
    outer_first, outer_second = await prober.map(first, remote), await prober.map(second, remote)
    answer = remote, outer_first
    await prober.gets_in(prober.inside, first, outer_second, after=answer)
    there = await prober.gets_in(prober.inside, second, outer_first, after=answer)
    return there == _ProbePacket(outer_second, first)


async def _lasts(prober: _Prober, local: str, remote: _Endpoint, timeout_ns: int) -> tuple[bool, bool]:
    """Whether a mapping is there after three quarters of its timeout, and after five quarters and a second."""
    brief, long = prober.endpoint(local), prober.endpoint(local)
    ports = await prober.map(brief, remote), await prober.map(long, remote)
    begun = time.monotonic()
    found = []
    for port, seconds in zip(ports, (0.75 * timeout_ns / _NS, 1.25 * timeout_ns / _NS + 1), strict=True):
        await asyncio.sleep(max(0, begun + seconds - time.monotonic()))
        fresh = await prober.map(prober.endpoint(local), remote)
        found.append(await prober.gets_in(prober.outside, remote, port, after=(remote, fresh)) is not None)
    return found[0], found[1]


@contextmanager
def _side(port: Port) -> Iterator[_Side]:
    """Open a packet socket at a port. What it sends meets no queue there."""
    with namespaces.inside(port.side.fd):
        channel = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.htons(_ALL)
        )
        name = socket.if_indextoname(port.index)
        channel.bind((name, _ALL))
    with channel:
        channel.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        yield _Side(port, channel)


@contextmanager
def _ways(wiring: Wiring, name: str, addresses: dict[str, tuple[str, str]]) -> Iterator[None]:
    """Make a node send packets for some addresses to its interfaces, by name, and to the MAC of the probe."""
    node = wiring.node(name)
    indexes = {device.name: device.index for device in devices_of(node)}
    ends = [
        (indexes[interface], ipaddress.ip_address(one).packed) for interface, both in addresses.items() for one in both
    ]
    routes = [
        _RTMSG.pack(socket.AF_INET, 32, 0, 0, _MAIN_TABLE, _STATIC, _LINK_SCOPE, _UNICAST, 0)
        + attribute(_DESTINATION, address)
        + attribute(_DEVICE, struct.pack("=I", index))
        for index, address in ends
    ]
    neighbours = [
        _NDMSG.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
        + attribute(_NEIGHBOUR, address)
        + attribute(_NEIGHBOUR_MAC, _MAC)
        for index, address in ends
    ]
    with namespaces.inside(node.network), RouteSocket() as route_socket:
        made = [(_NEW_ROUTE, CREATE | REPLACE, body) for body in routes]
        route_socket.send([*made, *((_NEW_NEIGHBOUR, CREATE | REPLACE, body) for body in neighbours)])
    try:
        yield
    finally:
        with namespaces.inside(node.network), RouteSocket() as route_socket:
            route_socket.send([(_DEL_NEIGHBOUR, 0, body) for body in neighbours])
            route_socket.send([(_DEL_ROUTE, 0, body) for body in routes])


def _checksum(header: bytes) -> int:
    """Return the checksum of an IPv4 header (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:  # noqa: PLR2004
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
