"""Subnets and addresses fit together."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.families import IPV4, IPV6, label
from testbed.topology.base import Fault
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.families import Address, Subnet
    from testbed.topology.document import Path
    from testbed.topology.ends import WireEnds
    from testbed.topology.networks import NetworkKeys
    from testbed.topology.rules.parts import Parts

_RESERVED = 3
"""Addresses of a subnet that no node gets: its own, the gateway's and the broadcast address."""


SMALLEST_IPV6_MTU = 1280
"""Bytes of an IP packet (RFC 8200, section 5)."""

MOST_PORTS = 1023
"""Of a Linux bridge (BR_MAX_PORTS in net/bridge/br_private.h, of which number 0 is none)."""


def subnets(parts: Parts) -> Iterator[Fault]:
    """Subnets have room for their nodes and do not overlap; addresses given are in them."""
    members: dict[str, dict[str, Sequence[Address]]] = {name: {} for name in parts.networks}
    for node in parts.written:
        for name, addresses in parts.on.get(node, {}).items():
            members.get(name, {})[node] = addresses
    settled: list[tuple[Subnet, str, Path]] = []
    for name, network in parts.networks.items():
        if len(members[name]) > MOST_PORTS:
            said = f"has {len(members[name])} nodes, and a Linux bridge has at most {MOST_PORTS} ports"
            yield Fault(("networks", name), "network-full", said, "spread the nodes over several networks")
        if network is None or network.present is not None:
            continue
        yield from _families(parts, ("networks", name), network)
        for subnet, asked in _settled(parts, name, network, members[name]):
            yield from _addresses(name, subnet, asked, parts.written)
            settled.append((subnet, name, ("networks", name, "subnet")))
        yield from _without_family(parts, name, members[name])
    yield from _chosen_by_docker(parts)
    for path, wire in parts.wires.items():
        yield from _families(parts, path, wire)
        settled += [(subnet, wire.network, (*path, "subnet")) for subnet in wire.subnets]
    yield from _overlaps(settled)


def _overlaps(settled: Sequence[tuple[Subnet, str, Path]]) -> Iterator[Fault]:
    """No two of these subnets, each with the name of its network and its place in the file, overlap."""
    in_order = sorted(settled, key=lambda one: (one[0].version, int(one[0][0]), one[0].prefixlen, one[1]))
    for (lower, first, _), (higher, _, path) in pairwise(in_order):
        if lower.version == higher.version and int(higher[0]) <= int(lower[-1]):
            yield Fault(path, "subnet-overlap", f"is {higher}, which overlaps {lower} of {quote(first)}")


def _settled(
    parts: Parts, name: str, network: NetworkKeys, members: Mapping[str, Sequence[Address]]
) -> Iterator[tuple[Subnet, Mapping[str, Address | None]]]:
    """Yield the subnets of a network that the file decides, with the addresses that nodes ask for in each."""
    for family in parts.families_of(name):
        asked = {node: of_family(addresses, family) for node, addresses in members.items()}
        subnet = network.fixed_subnet(family, [address for address in asked.values() if address])
        if subnet is not None:
            yield subnet, asked


def of_family(addresses: Sequence[Address], family: int) -> Address | None:
    """Return the address of a family among those that a node asks for on a network; None if it asks for none."""
    return next((address for address in addresses if address.version == family), None)


def _families(parts: Parts, path: Path, network: NetworkKeys | WireEnds) -> Iterator[Fault]:
    """A network or wire has the families of its subnets; one with IPv6 has packets large enough for it."""
    own = network.families or parts.families
    for subnet in network.subnets:
        if subnet.version not in own:
            said = f"is {subnet}, and the network has {label(own[0])} only"
            yield Fault((*path, "subnet"), "no-family", said, f"say ip: both, or ip: {subnet.version}")
    if IPV4 not in own and not getattr(network, "internal", True):
        said = "is false, and the network has IPv6 only: the way out of a lab is over IPv4"
        yield Fault((*path, "internal"), "no-family", said, "say ip: both, or leave it out")
    mtu = getattr(network, "mtu", SMALLEST_IPV6_MTU)
    if IPV6 in own and mtu < SMALLEST_IPV6_MTU:
        said = f"is {mtu}, and a network with IPv6 has packets of at least {SMALLEST_IPV6_MTU} bytes"
        yield Fault((*path, "mtu"), "mtu-too-small", said, "RFC 8200, section 5; raise it, or say ip: 4")


def _without_family(parts: Parts, network: str, members: Mapping[str, Sequence[Address]]) -> Iterator[Fault]:
    """Nodes ask for no addresses of a family that the network does not have."""
    own = parts.families_of(network)
    seen: set[str] = set()
    for node, addresses in members.items():
        written = parts.written[node]
        if any(address.version not in own for address in addresses) and written not in seen:
            seen.add(written)
            other = next(address for address in addresses if address.version not in own)
            said = f"is {other}, and network {quote(network)} has {label(own[0])} only"
            hint = f"give the network {label(other.version)}: ip: both, or ip: {other.version}"
            yield Fault(("nodes", written, "networks", network, "address"), "no-family", said, hint)


def _chosen_by_docker(parts: Parts) -> Iterator[Fault]:
    """No node of the lab asks for an address on a network of others."""
    for name, node in parts.nodes.items():
        for network, addresses in parts.on.get(name, {}).items():
            attached = parts.networks.get(network)
            if node and not node.is_present and addresses and attached and attached.present:
                said = f"is {addresses[0]}, and {network} was there before: the Docker Engine chooses the address"
                yield Fault(("nodes", name, "networks", network, "address"), "contradiction", said, "leave it out")


def _addresses(
    network: str, subnet: Subnet, members: Mapping[str, Address | None], written: Mapping[str, str]
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
    owners = {subnet[0]: "the subnet's own", subnet[1]: "the gateway's"}
    if subnet.version == IPV4:
        owners[subnet[-1]] = "the broadcast address"
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
