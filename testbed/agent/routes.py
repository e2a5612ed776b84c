"""Routes of nodes, set and looked up in their network namespaces: a batch of netlink messages for each node."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from typing import TYPE_CHECKING

from testbed.agent.netlink import CREATE, REPLACE, RouteSocket, attribute, attributes
from testbed.errors import LabError
from testbed.families import IPV4
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.agent.messages import NewRoute
    from testbed.agent.netlink import Message
    from testbed.agent.nodes import NodeNamespaces
    from testbed.families import Address

# include/uapi/linux/rtnetlink.h
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_RTMSG = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_RTNEXTHOP = struct.Struct("=HBBi")  # struct rtnexthop
_DESTINATION, _OUT, _GATEWAY, _PREFERRED_SOURCE, _MULTIPATH = 1, 4, 5, 7, 9
_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH: the route itself, not what it is for one packet
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH)
_MAIN_TABLE, _STATIC, _UNIVERSE, _LINK_SCOPE, _UNICAST = 254, 4, 0, 253, 1
_DEFAULT = "default"


def install(node: NodeNamespaces, routes: Iterable[NewRoute]) -> None:
    """Give a node its routes, in place of those that it has to the same destinations.

    Raises:
        LabError: `route-refused`: an interface has no address on the network of a next hop, or is not up.
    """
    messages = [_message(route) for route in routes]
    if not messages:
        return
    try:
        with namespaces.inside(node.network), RouteSocket() as route_socket:
            route_socket.send(messages)
    except OSError as error:
        raise LabError("route-refused", f"node {node.name}: the kernel refuses a route: {error.strerror}") from None


def _message(route: NewRoute) -> Message:
    gateway = ipaddress.ip_address(route.via)
    destination = None if route.to == _DEFAULT else ipaddress.ip_network(route.to)
    bits = destination.prefixlen if destination else 0
    body = _RTMSG.pack(_family(gateway), bits, 0, 0, _MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST, 0)
    if destination:
        body += attribute(_DESTINATION, destination.network_address.packed)
    return _NEW_ROUTE, CREATE | REPLACE, body + attribute(_GATEWAY, gateway.packed)


def on_link(address: str, index: int, *, source: str = "") -> Message:
    """Return the message that makes one address reachable on the link of a device, in place of another such route.

    Args:
        address: the destination.
        index: of the device.
        source: the IPv4 address that packets to there are sent from, if it is not the device's.
    """
    body = _on_link(address, index)
    if source:
        body += attribute(_PREFERRED_SOURCE, ipaddress.IPv4Address(source).packed)
    return _NEW_ROUTE, CREATE | REPLACE, body


def not_on_link(address: str, index: int) -> Message:
    """Return the message that takes such a route away."""
    return _DELETE_ROUTE, 0, _on_link(address, index)


def _on_link(text: str, index: int) -> bytes:
    address = ipaddress.ip_address(text)
    body = _RTMSG.pack(_family(address), address.max_prefixlen, 0, 0, _MAIN_TABLE, _STATIC, _LINK_SCOPE, _UNICAST, 0)
    return body + attribute(_DESTINATION, address.packed) + attribute(_OUT, struct.pack("=I", index))


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == IPV4 else socket.AF_INET6


def next_hops(node: NodeNamespaces, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the next hops that a node's kernel has for addresses; see `testbed.agent.messages.NextHops`.

    Raises:
        LabError: `route-refused`: the kernel looks nothing up.
    """
    try:
        with namespaces.inside(node.network), RouteSocket() as route_socket:
            return {address: _looked_up(route_socket, address) for address in addresses}
    except OSError as error:
        raise LabError("route-refused", f"node {node.name}: the kernel reports no route: {error.strerror}") from None


def leaves_by(route_socket: RouteSocket, address: str) -> int:
    """Return the index of the device by which packets to an IPv4 address leave a socket's namespace; 0 if by none."""
    body = _RTMSG.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0)
    try:
        (answer,) = route_socket.ask((_GET_ROUTE, 0, body + attribute(_DESTINATION, socket.inet_aton(address))))
    except OSError as error:
        if error.errno in _UNREACHABLE:
            return 0
        raise
    return int.from_bytes(attributes(answer[_RTMSG.size :]).get(_OUT, b""), sys.byteorder)


def _looked_up(route_socket: RouteSocket, address: str) -> tuple[str, ...]:
    wanted = ipaddress.ip_address(address)
    body = _RTMSG.pack(_family(wanted), wanted.max_prefixlen, 0, 0, 0, 0, 0, 0, _FIB_MATCH)
    try:
        (answer,) = route_socket.ask((_GET_ROUTE, 0, body + attribute(_DESTINATION, wanted.packed)))
    except OSError as error:
        if error.errno in _UNREACHABLE:
            return ()
        raise
    found = attributes(answer[_RTMSG.size :])
    hops = [found, *(attributes(hop) for hop in _in_turn(found.get(_MULTIPATH, b"")))]
    return tuple(str(ipaddress.ip_address(hop[_GATEWAY])) for hop in hops if _GATEWAY in hop)


def _in_turn(data: bytes) -> Iterator[bytes]:
    """Yield the attributes of each next hop of a route that has several."""
    while len(data) >= _RTNEXTHOP.size:
        length, *_ = _RTNEXTHOP.unpack_from(data)
        yield data[_RTNEXTHOP.size : length]
        data = data[length + -length % 4 :]
