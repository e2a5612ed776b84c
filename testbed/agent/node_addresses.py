"""Addresses of nodes, given and changed while they run, by netlink messages."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import CREATE, EXCL, RouteSocket, attribute
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from testbed.agent.netlink import Message
    from testbed.agent.nodes import NodeNamespaces

# include/uapi/linux/rtnetlink.h and if_addr.h
_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_IFADDRMSG = struct.Struct("=BBBBi")  # struct ifaddrmsg
_ADDRESS, _LOCAL, _BROADCAST = 1, 2, 4
_SINGLE = 32
_IPV4_BYTES = 4
_AS_WANTED = (errno.EEXIST, errno.EADDRNOTAVAIL)
"""The node has the new address already, or the one before no longer: its container has started again."""


def change(node: NodeNamespaces, interface: str, *, before: str, after: str, prefix_length: int) -> None:
    """Give a node's interface another IPv4 address of the same subnet. Its routes over that interface stay.

    The kernel drops all routes of an interface without an address, and an address beside another one of the same subnet
    goes with it. So the new one is there by itself, as a /32, while the one before goes.

    Raises:
        LabError: `address-refused`.
    """
    try:
        with namespaces.inside(node.network), RouteSocket() as route:
            index = switch.named(route, interface).index
            steps = [
                _message(_NEW_ADDRESS, index, after, _SINGLE),
                _message(_DELETE_ADDRESS, index, before, prefix_length),
                _message(_NEW_ADDRESS, index, after, prefix_length),
                _message(_DELETE_ADDRESS, index, after, _SINGLE),
            ]
            route.send(steps, tolerated=_AS_WANTED)
    except OSError as error:
        message = f"node {node.name}: the kernel refuses the address {after}: {error.strerror}"
        raise LabError("address-refused", message) from None


def addition(index: int, address: str, prefix_length: int) -> Message:
    """Return the message that gives a device of a new namespace an address; `EEXIST` if it has it already."""
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET if len(packed) == _IPV4_BYTES else socket.AF_INET6
    body = _IFADDRMSG.pack(family, prefix_length, 0, 0, index)
    return _NEW_ADDRESS, CREATE | EXCL, body + attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)


def _message(kind: int, index: int, address: str, prefix_length: int) -> Message:
    packed = ipaddress.IPv4Address(address).packed
    body = _IFADDRMSG.pack(socket.AF_INET, prefix_length, 0, 0, index)
    body += attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)
    if prefix_length < _SINGLE - 1:
        subnet = ipaddress.IPv4Network((address, prefix_length), strict=False)
        body += attribute(_BROADCAST, subnet.broadcast_address.packed)
    return kind, CREATE if kind == _NEW_ADDRESS else 0, body
