"""Permanent entries in the neighbour tables of nodes."""

from __future__ import annotations

import ipaddress
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import CREATE, REPLACE, RouteSocket, attribute
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.agent.netlink import Message

# include/uapi/linux/rtnetlink.h and neighbour.h
_NEW_NEIGHBOUR = 28
_DESTINATION, _MAC = 1, 2
_PERMANENT = 0x80
_NDMSG = struct.Struct("=BxxxiHBB")  # struct ndmsg


def set_permanent(network: int, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Make the MACs of others permanent in a node's neighbour table, so that it sends no ARP for them.

    Args:
        network: file descriptor of the node's network namespace.
        wanted: by interface of the node, MACs by IP address.

    Raises:
        OSError: there is no such interface, or the kernel refuses.
    """
    with namespaces.inside(network), RouteSocket() as route:
        for interface, macs in wanted.items():
            index = switch.named(route, interface).index
            route.send(list(_entries(index, macs)))


def _entries(index: int, macs: Mapping[str, str]) -> Iterator[Message]:
    for text, mac in macs.items():
        family, attributes = _entry(text, mac)
        yield _NEW_NEIGHBOUR, CREATE | REPLACE, _NDMSG.pack(family, index, _PERMANENT, 0, 0) + attributes


@lru_cache(maxsize=4096)
def _entry(text: str, mac: str) -> tuple[int, bytes]:
    """Return the family of an address, and the attributes of its entry, which are the same in all nodes."""
    address = ipaddress.ip_address(text)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    return family, attribute(_DESTINATION, address.packed) + attribute(_MAC, bytes.fromhex(mac.replace(":", "")))
