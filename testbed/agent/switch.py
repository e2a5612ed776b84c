"""The kernel's devices on the switch side: lists of them, and events that report changes."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent import netlink
from testbed.agent.netlink import RouteSocket, attribute, attributes
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/rtnetlink.h, if_link.h and neighbour.h
_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_NEW_NEIGHBOUR, _GET_NEIGHBOUR = 28, 30
_SET_LINK = 19
_GET_NAMESPACE, _NAMESPACE_NUMBER, _NAMESPACE_FD = 90, 1, 3  # and net_namespace.h
_GET_ADDRESS, _LOCAL = 22, 2  # and if_addr.h, where the far end of a point-to-point device is IFA_ADDRESS
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _QUEUE_LENGTH, _INFO, _ALIAS, _STATISTICS64 = 1, 3, 4, 5, 10, 13, 18, 20, 23
_LINK_NAMESPACE = 37  # IFLA_LINK_NETNSID
_INFO_KIND = 1
_NEIGHBOUR_MAC = 2
_LEARNED = 0x02 | 0x04  # NUD_REACHABLE, NUD_STALE; the bridge's own addresses are permanent ones
_AF_BRIDGE = 7
_LOWER_UP = 0x1_0000  # IFF_LOWER_UP
_LINK_LOCAL = ipaddress.IPv6Network("fe80::/10")
_IFADDR = struct.Struct("=BBBBI")  # struct ifaddrmsg
_IFINFO, _NDMSG = struct.Struct("=BxHiII"), struct.Struct("=BxxxiHBB")  # struct ifinfomsg, struct ndmsg


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDevice:
    """A network device of some namespace.

    Attributes:
        master: index of the bridge that it is a port of, or 0.
        kind: `veth`, `bridge`, ...; empty for a physical device.
        peer: index of a veth's other end, which may be in another namespace; 0 for other kinds.
        peer_namespace: the number that this namespace has for that of the other end; None where it is the same.
        mtu: bytes of an IP packet.
        connected: both ends of a veth are up.
        sent: packets that it has sent, so of a port those that the node was given.
        received: packets that it has received, so of a port those that the node has sent.
        alias: its alias, see ip-link(8).
        queue_length: packets that a queue of its own may hold.
    """

    index: int
    name: str
    mac: str
    master: int
    kind: str
    peer: int
    peer_namespace: int | None
    mtu: int
    connected: bool
    sent: int
    received: int
    alias: str
    queue_length: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A device was deleted, or left its bridge."""

    index: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A bridge saw a packet with a source MAC that it did not know at that port."""

    mac: str
    port: int


def devices(route: RouteSocket, index: int = 0) -> list[NetworkDevice]:
    """Return all devices of a socket's namespace, or the one with that index.

    Raises:
        OSError: there is none with that index.
    """
    flags = 0 if index else netlink.ROOT_MATCH
    answers = route.ask((_GET_LINK, flags, _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)))
    return [_device(body) for body in answers]


def ipv4_addresses(route: RouteSocket) -> list[tuple[int, str, int]]:
    """All IPv4 addresses of a socket's namespace: index of the device, address, length of the prefix."""
    found = []
    for body in route.ask((_GET_ADDRESS, netlink.ROOT_MATCH, _IFADDR.pack(socket.AF_INET, 0, 0, 0, 0))):
        _, length, _, _, index = _IFADDR.unpack_from(body)
        inside = attributes(body[_IFADDR.size :])
        local = inside.get(_LOCAL) or inside[_ADDRESS]
        found.append((index, socket.inet_ntoa(local), length))
    return found


def local_addresses(route: RouteSocket) -> frozenset[str]:
    """Return the IPv4 and IPv6 addresses of a socket's namespace, but for the loopback's, and `fe80::/10`.

    IPv6 link-local packets are exchanged with the machine only, whichever of its interfaces has the address (RFC 4291,
    2.5.6).
    """
    found = {address for _, address, _ in ipv4_addresses(route)}
    for body in route.ask((_GET_ADDRESS, netlink.ROOT_MATCH, _IFADDR.pack(socket.AF_INET6, 0, 0, 0, 0))):
        inside = attributes(body[_IFADDR.size :])
        found.add(socket.inet_ntop(socket.AF_INET6, inside.get(_LOCAL) or inside[_ADDRESS]))
    addresses = {address for address in map(ipaddress.ip_address, found) if not address.is_loopback}
    return frozenset(str(address) for address in addresses if address not in _LINK_LOCAL) | {str(_LINK_LOCAL)}


def named(route: RouteSocket, name: str) -> NetworkDevice:
    """Return the device of that name in a socket's namespace.

    Raises:
        OSError: there is none.
    """
    request = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_NAME, name.encode() + b"\0")
    (answer,) = route.ask((_GET_LINK, 0, request))
    return _device(answer)


def other_end(network: int, device: NetworkDevice, elsewhere: int) -> NetworkDevice | None:
    """Return the other end of a veth, if it is in a certain network namespace.

    Indexes alone do not tell: new namespaces all begin with the same ones.

    Args:
        network: file descriptor of the namespace of the device.
        device: one end.
        elsewhere: file descriptor of the namespace where the other end may be.
    """
    if not device.peer:
        return None
    if os.fstat(network).st_ino == os.fstat(elsewhere).st_ino:
        is_there = device.peer_namespace is None
    else:
        with namespaces.inside(network), RouteSocket() as route:
            is_there = device.peer_namespace == _number_of(route, elsewhere) is not None
    if not is_there:
        return None
    try:
        with namespaces.inside(elsewhere), RouteSocket() as route:
            (found,) = devices(route, device.peer)
    except OSError:
        return None
    return found if found.peer == device.index else None


def _number_of(route: RouteSocket, network: int) -> int | None:
    """Return the number that a socket's namespace has for another one, which it has none for unless devices need it."""
    (answer,) = route.ask((_GET_NAMESPACE, 0, bytes(4) + attribute(_NAMESPACE_FD, struct.pack("=I", network))))
    (number,) = struct.unpack_from("=i", attributes(answer[4:])[_NAMESPACE_NUMBER])
    return None if number < 0 else int(number)


def unplug(route: RouteSocket, index: int) -> None:
    """Take a port off its bridge.

    Raises:
        OSError: there is none with that index.
    """
    _set(route, index, _MASTER, 0)


def set_queue_length(route: RouteSocket, index: int, packets: int) -> None:
    """Set how much a queue of a device may hold.

    Raises:
        OSError: there is none with that index.
    """
    _set(route, index, _QUEUE_LENGTH, packets)


def _set(route: RouteSocket, index: int, kind: int, value: int) -> None:
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + attribute(kind, struct.pack("=I", value))
    route.send([(_SET_LINK, 0, body)])


def learned(route: RouteSocket) -> list[Learned]:
    """Return all MACs that the bridges of a socket's namespace have learned."""
    answers = route.ask((_GET_NEIGHBOUR, netlink.ROOT_MATCH, _NDMSG.pack(_AF_BRIDGE, 0, 0, 0, 0)))
    return [found for body in answers for found in _learned(body)]


def events(messages: list[tuple[int, bytes]]) -> Iterator[NetworkDevice | Gone | Learned]:
    """Return the events in messages of an `EventSocket`; a `NetworkDevice` is new or has changed."""
    for kind, body in messages:
        if kind == _NEW_LINK:
            yield _device(body)
        elif kind == _DEL_LINK:
            yield Gone(_IFINFO.unpack_from(body)[2])
        elif kind == _NEW_NEIGHBOUR:
            yield from _learned(body)


def _device(body: bytes) -> NetworkDevice:
    found = attributes(body[_IFINFO.size :])
    kind = attributes(found.get(_INFO, b"")).get(_INFO_KIND, b"").rstrip(b"\0")
    statistics = found.get(_STATISTICS64, bytes(16))
    _, _, index, state, _ = _IFINFO.unpack_from(body)
    return NetworkDevice(
        index=index,
        name=found.get(_NAME, b"").rstrip(b"\0").decode(),
        mac=_mac(found.get(_ADDRESS, b"")),
        master=int.from_bytes(found.get(_MASTER, b""), sys.byteorder),
        kind=kind.decode(),
        peer=int.from_bytes(found.get(_LINK, b""), sys.byteorder) if kind == b"veth" else 0,
        peer_namespace=int.from_bytes(found[_LINK_NAMESPACE], sys.byteorder) if _LINK_NAMESPACE in found else None,
        mtu=int.from_bytes(found.get(_MTU, b""), sys.byteorder),
        connected=bool(state & _LOWER_UP),
        sent=int.from_bytes(statistics[8:16], sys.byteorder),
        received=int.from_bytes(statistics[:8], sys.byteorder),
        alias=found.get(_ALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        queue_length=int.from_bytes(found.get(_QUEUE_LENGTH, b""), sys.byteorder),
    )


def _learned(body: bytes) -> Iterator[Learned]:
    family, port, state, _, _ = _NDMSG.unpack_from(body)
    if family == _AF_BRIDGE and state & _LEARNED:
        yield Learned(_mac(attributes(body[_NDMSG.size :])[_NEIGHBOUR_MAC]), port)


def _mac(octets: bytes) -> str:
    return octets.hex(":")
