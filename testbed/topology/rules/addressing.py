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


def subnets(parts: Parts) -> Iterator[Fault]:
    """Subnets have room for their nodes and do not overlap; addresses given are in them."""
    members: dict[str, dict[str, IPv4Address | None]] = {name: {} for name in parts.networks}
    for node, networks in parts.on.items():
        for name, address in networks.items():
            members.get(name, {})[node] = address
    settled: list[tuple[IPv4Network, str, Path]] = []
    for name, network in parts.networks.items():
        given = [address for address in members[name].values() if address]
        subnet = network.fixed_subnet(given) if network else None
        if subnet is not None and network is not None and network.present is None:
            yield from _addresses(name, subnet, members[name])
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
            if node and node.container is None and address and attached and attached.present:
                said = f"is {address}, and {network} was there before: the Docker Engine chooses the address"
                yield Fault(("nodes", name, "networks", network, "address"), "contradiction", said, "leave it out")


def _addresses(network: str, subnet: IPv4Network, members: Mapping[str, IPv4Address | None]) -> Iterator[Fault]:
    """The addresses that nodes ask for are in the subnet, usable, and asked for once."""
    room = subnet.num_addresses - _RESERVED
    if len(members) > room:
        said = f"has {len(members)} nodes, and {subnet} has room for {room}"
        yield Fault(("networks", network), "subnet-full", said, "give a larger subnet")
    owners = {subnet[0]: "the subnet's own", subnet[1]: "the gateway's", subnet[-1]: "the broadcast address"}
    for node, address in members.items():
        path: Path = ("nodes", node, "networks", network, "address")
        if address is None:
            continue
        if address not in subnet:
            said = f"is {address}, which is not in the network's subnet, {subnet}"
            yield Fault(path, "address-outside-subnet", said)
        elif address in owners:
            yield Fault(path, "address-taken", f"is {address}, which is {owners[address]}")
        owners.setdefault(address, f"that of {node}")
