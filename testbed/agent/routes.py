"""Routes of nodes, set in their network namespaces: a batch of netlink messages for each node."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import TYPE_CHECKING

from testbed.agent.netlink import CREATE, REPLACE, RouteSocket, attribute
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.agent.messages import NewRoute
    from testbed.agent.netlink import Message
    from testbed.agent.nodes import Node

# include/uapi/linux/rtnetlink.h
_NEW_ROUTE = 24
_RTMSG = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_DESTINATION, _GATEWAY = 1, 5
_MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST = 254, 4, 0, 1
_DEFAULT = "default"


def install(node: Node, routes: Iterable[NewRoute]) -> None:
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
    is_4 = gateway.version == 4  # noqa: PLR2004
    destination = None if route.to == _DEFAULT else ipaddress.ip_network(route.to)
    bits = destination.prefixlen if destination else 0
    family = socket.AF_INET if is_4 else socket.AF_INET6
    body = _RTMSG.pack(family, bits, 0, 0, _MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST, 0)
    if destination:
        body += attribute(_DESTINATION, destination.network_address.packed)
    return _NEW_ROUTE, CREATE | REPLACE, body + attribute(_GATEWAY, gateway.packed)
