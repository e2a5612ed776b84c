"""Relocation of a plan: allocated subnets move to subnets that are free on this machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from testbed.plan import addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testbed.plan.model import Interface, Plan

Moves = dict[IPv4Network, IPv4Network]


def relocate(plan: Plan, taken: Collection[IPv4Network]) -> Plan:
    """Return the plan, with the same digest, on subnets that are not in use.

    Args:
        plan: any.
        taken: what is in use on this machine.

    Raises:
        MachineError: `subnet-taken`, a subnet that the file gave is in use; `no-free-subnet`.
    """
    subnets = {network.name: IPv4Network(network.subnet) for network in plan.networks if not network.present}
    fixed = {
        network.name
        for network in plan.networks
        if network.name in subnets
        if not network.allocated or not any(subnets[network.name].overlaps(other) for other in taken)
    }
    members = Counter(at.network for node in plan.nodes for at in node.interfaces)
    wanted = {name: (subnet if name in fixed else None, members[name]) for name, subnet in subnets.items()}
    wires = {network.name for network in plan.networks if network.wire}
    found = addresses.subnets(wanted, lab=plan.lab, taken=taken, wires=wires)
    moved = _moved(plan, {subnets[name]: subnet for name, subnet in found.items()})
    if not plan.beyond:
        return moved
    used = [*taken, *(IPv4Network(network.subnet) for network in moved.networks)]
    return replace(moved, beyond=str(addresses.beyond(lab=plan.lab, taken=used)))


def readdress(plan: Plan, found: Mapping[tuple[str, str], tuple[str, str]]) -> Plan:
    """Return the plan with other addresses of nodes on networks that are not the lab's own; its digest is the same.

    Args:
        plan: any.
        found: address and MAC by names of node and network.
    """
    nodes = tuple(
        replace(
            node, interfaces=tuple(_readdressed(each, found.get((node.name, each.network))) for each in node.interfaces)
        )
        for node in plan.nodes
    )
    before = {
        (node.name, each.address): found[node.name, each.network][0]
        for node in plan.nodes
        for each in node.interfaces
        if (node.name, each.network) in found
    }
    stages = tuple(
        tuple(
            replace(workload, address=before.get((workload.destination, workload.address), workload.address))
            for workload in stage
        )
        for stage in plan.stages
    )
    return replace(plan, nodes=nodes, stages=stages)


def on_subnets(plan: Plan, found: Mapping[str, tuple[str, str]]) -> Plan:
    """Return the plan with the subnets that the Docker Engine chose for networks of a compose project.

    Args:
        plan: any.
        found: subnet and gateway by name of the network.
    """
    networks = tuple(
        replace(network, subnet=found[network.name][0], gateway=found[network.name][1])
        if network.name in found
        else network
        for network in plan.networks
    )
    lengths = {name: IPv4Network(subnet).prefixlen for name, (subnet, _) in found.items()}
    nodes = tuple(
        replace(
            node,
            interfaces=tuple(
                replace(each, prefix_length=lengths.get(each.network, each.prefix_length)) for each in node.interfaces
            ),
        )
        for node in plan.nodes
    )
    return replace(plan, networks=networks, nodes=nodes)


def _readdressed(interface: Interface, found: tuple[str, str] | None) -> Interface:
    return replace(interface, address=found[0], mac=found[1]) if found else interface


def _moved(plan: Plan, moves: Moves) -> Plan:
    networks = tuple(
        network
        if network.present
        else replace(network, subnet=str(moves[IPv4Network(network.subnet)]), gateway=_address(network.gateway, moves))
        for network in plan.networks
    )
    nodes = tuple(
        replace(node, interfaces=tuple(_interface(interface, moves) for interface in node.interfaces))
        for node in plan.nodes
    )
    stages = tuple(
        tuple(replace(workload, address=_address(workload.address, moves)) for workload in stage)
        for stage in plan.stages
    )
    return replace(plan, networks=networks, nodes=nodes, stages=stages)


def _interface(interface: Interface, moves: Moves) -> Interface:
    address = _address(interface.address, moves)
    if address == interface.address:
        return interface
    return replace(interface, address=address, mac=addresses.mac(IPv4Address(address)))


def _address(address: str, moves: Mapping[IPv4Network, IPv4Network]) -> str:
    """Return the address at the same position in the new subnet."""
    if not address:
        return address
    parsed = IPv4Address(address)
    for before, after in moves.items():
        if parsed in before:
            return str(after[int(parsed) - int(before.network_address)])
    return address
