"""Subnets and addresses fit together."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.topology.base import Fault
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Address, IPv4Network

    from testbed.topology.document import Path
    from testbed.topology.rules.parts import Parts

_RESERVED = 3
"""Addresses of a subnet that no node gets: its own, the gateway's and the broadcast address."""


MOST_PORTS = 1023
"""Of a Linux bridge (BR_MAX_PORTS in net/bridge/br_private.h, of which number 0 is none)."""


def subnets(parts: Parts) -> Iterator[Fault]:
    """Subnets have room for their nodes and do not overlap; addresses given are in them."""
    members: dict[str, dict[str, IPv4Address | None]] = {name: {} for name in parts.networks}
    for node in parts.written:
        for name, address in parts.on.get(node, {}).items():
            members.get(name, {})[node] = address
    settled: list[tuple[IPv4Network, str, Path]] = []
    for name, network in parts.networks.items():
        if len(members[name]) > MOST_PORTS:
            said = f"has {len(members[name])} nodes, and a Linux bridge has at most {MOST_PORTS} ports"
            yield Fault(("networks", name), "network-full", said, "spread the nodes over several networks")
        given = [address for address in members[name].values() if address]
        subnet = network.fixed_subnet(given) if network else None
        if subnet is not None and network is not None and network.present is None:
            yield from _addresses(name, subnet, members[name], parts.written)
            settled.append((subnet, name, ("networks", name, "subnet")))
    yield from _chosen_by_docker(parts)
    settled += [(wire.subnet, wire.network, (*path, "subnet")) for path, wire in parts.wires.items() if wire.subnet]
    for (lower, first, _), (higher, _, path) in pairwise(sorted(settled, key=lambda one: one[:2])):
        if lower.overlaps(higher):
            yield Fault(path, "subnet-overlap", f"is {higher}, which overlaps {lower} of {quote(first)}")


def _chosen_by_docker(parts: Parts) -> Iterator[Fault]:
    """No node of the lab asks for an address on a network of others."""
    for name, node in parts.nodes.items():
        for network, address in parts.on.get(name, {}).items():
            attached = parts.networks.get(network)
            if node and not node.is_present and address and attached and attached.present:
                said = f"is {address}, and {network} was there before: the Docker Engine chooses the address"
                yield Fault(("nodes", name, "networks", network, "address"), "contradiction", said, "leave it out")


def _addresses(
    network: str, subnet: IPv4Network, members: Mapping[str, IPv4Address | None], written: Mapping[str, str]
) -> Iterator[Fault]:
    """The addresses that nodes ask for are in the subnet, usable, and asked for once.

    Args:
        network: its name.
        subnet: of the network.
        members: the nodes on the network with the addresses that they ask for.
        written: the name under `nodes` of each node.
    """
    room = subnet.num_addresses - _RESERVED
    if len(members) > room:
        said = f"has {len(members)} nodes, and {subnet} has room for {room}"
        yield Fault(("networks", network), "subnet-full", said, "give a larger subnet")
    owners = {subnet[0]: "the subnet's own", subnet[1]: "the gateway's", subnet[-1]: "the broadcast address"}
    at_fault: set[str] = set()
    for node, address in members.items():
        if address is None or written[node] in at_fault:
            continue
        path: Path = ("nodes", written[node], "networks", network, "address")
        verb = "is" if written[node] == node else f"gives {node}"
        fault = None
        if address not in subnet:
            said = f"{verb} {address}, which is not in the network's subnet, {subnet}"
            fault = Fault(path, "address-outside-subnet", said)
        elif address in owners:
            fault = Fault(path, "address-taken", f"{verb} {address}, which is {owners[address]}")
        owners.setdefault(address, f"that of {node}")
        if fault:
            at_fault.add(written[node])
            yield fault
