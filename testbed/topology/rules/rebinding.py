"""Rules about the address that an event gives a NAT: it is outside the NAT, and no node has it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from testbed.families import IPV4
from testbed.topology.address_values import NEW
from testbed.topology.base import Fault
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import routers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.document import Path
    from testbed.topology.events import Rebind
    from testbed.topology.rules.parts import Parts

WIRE_PREFIX = 30
"""Bits of the network part of a subnet that has room for two nodes only."""


def new_address(parts: Parts, path: Path, event: Rebind) -> Iterator[Fault]:
    """Yield what is wrong with the address that the NAT of a router gets."""
    router = next((node.router for member in parts.members(event.node) if (node := parts.each.get(member))), None)
    hidden = router.hidden if router else ()
    outside = [network for network in parts.on.get(event.node, ()) if network not in hidden]
    if event.network is not None and event.address is None:
        said = f"is {quote(event.network)}, and the NAT of {quote(event.node)} keeps its address"
        yield Fault((*path, "network"), "contradiction", said, "give the address: address: new")
    elif event.network is not None and event.network not in outside:
        said = f"is {quote(event.network)}, which is not outside of the NAT of {quote(event.node)}"
        yield Fault((*path, "network"), "unknown-network", said, nearest(event.network, outside, "networks outside"))
    elif event.address is not None and event.network is None and len(outside) > 1:
        said = f"is for one network, and {quote(event.node)} has {' and '.join(outside)} outside"
        yield Fault((*path, "address"), "which-network", said, f"name one: network: {outside[0]}")
    elif isinstance(event.address, IPv4Address) and outside:
        yield from _given_address(parts, (*path, "address"), event.node, event.address, event.network or outside[0])
    elif event.address == NEW and outside and _is_full(parts, event.network or outside[0]):
        said = f"is new, and the wire {quote(event.network or outside[0])} has addresses for its two ends only"
        yield Fault((*path, "address"), "no-free-address", said, "give the wire a larger subnet: subnet: 198.18.7.0/29")


def _is_full(parts: Parts, network: str) -> bool:
    """Whether a network is a wire whose subnet has room for its two nodes only."""
    if network in parts.networks:
        return False
    return all(subnet.prefixlen >= WIRE_PREFIX for subnet in routers.subnets(parts, network) if subnet.version == IPV4)


def _given_address(parts: Parts, path: Path, name: str, address: IPv4Address, network: str) -> Iterator[Fault]:
    given = {node: on[network] for node, on in parts.on.items() if network in on}
    subnet = next((one for one in routers.subnets(parts, network) if one.version == IPV4), None)
    if len(parts.members(name)) > 1:
        said = f"is {address}, and {quote(name)} stands for {len(parts.members(name))} nodes"
        yield Fault(path, "address-taken", said, "name one of them, or let each have one: address: new")
    elif subnet is None:
        said = f"is {address}, and the file gives {quote(network)} no subnet"
        yield Fault(path, "address-outside-subnet", said, "give the network its subnet, or: address: new")
    elif address not in subnet or address in (subnet[0], subnet[-1]):
        said = f"is {address}, which no node on {quote(network)} can have: its subnet is {subnet}"
        yield Fault(path, "address-outside-subnet", said, "choose another one, or: address: new")
    elif network in parts.networks and address == subnet[1]:
        yield Fault(path, "address-taken", f"is {address}, which is the gateway's", "choose another one")
    elif owner := next((node for node, at in given.items() if address in at and node != name), None):
        yield Fault(path, "address-taken", f"is {address}, which is that of {quote(owner)}", "choose another one")
