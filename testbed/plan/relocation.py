"""Relocation of a plan: allocated subnets move to subnets that are free on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from testbed.families import FAMILIES, Subnet
from testbed.plan import addresses

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Interface

Moves = Mapping[Subnet, Subnet]


def relocate(plan: Plan, taken: Collection[Subnet]) -> Plan:
    """Return the plan, with the same digest, on subnets that are not in use.

    Args:
        plan: any.
        taken: what is in use on this machine.

    Raises:
        MachineError: `subnet-taken`, a subnet that the file gave is in use; `no-free-subnet`.
    """
    for family in FAMILIES:
        plan = _relocated(plan, family, [subnet for subnet in taken if subnet.version == family])
    if not plan.beyond:
        return plan
    used = [*taken, *(subnet for network in plan.networks for subnet in network.subnets.values())]
    return replace(plan, beyond=str(addresses.beyond(lab=plan.lab, taken=used)))


def _relocated(plan: Plan, family: int, taken: Collection[Subnet]) -> Plan:
    own = [network for network in plan.networks if not network.present and family in network.subnets]
    subnets = {network.name: network.subnets[family] for network in own}
    fixed = {
        network.name
        for network in own
        if not network.is_allocated(family) or not any(subnets[network.name].overlaps(other) for other in taken)
    }
    members = Counter(at.network for node in plan.nodes for at in node.interfaces)
    wanted = {name: (subnet if name in fixed else None, members[name]) for name, subnet in subnets.items()}
    wires = {network.name for network in own if network.wire}
    found = addresses.subnets(family, wanted, lab=plan.lab, taken=taken, wires=wires)
    return _moved(plan, {subnets[name]: subnet for name, subnet in found.items() if subnets[name] != subnet})


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
    lengths = {name: ip_network(subnet).prefixlen for name, (subnet, _) in found.items()}
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
    if not moves:
        return plan
    networks = tuple(
        network
        if network.present
        else replace(
            network,
            subnet=_subnet(network.subnet, moves),
            gateway=_address(network.gateway, moves),
            subnet6=_subnet(network.subnet6, moves),
            gateway6=_address(network.gateway6, moves),
        )
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
    timeline = tuple(
        replace(event, addresses=tuple(replace(new, address=_address(new.address, moves)) for new in event.addresses))
        if event.addresses
        else event
        for event in plan.timeline
    )
    return replace(plan, networks=networks, nodes=nodes, stages=stages, timeline=timeline)


def _interface(interface: Interface, moves: Moves) -> Interface:
    address, address6 = _address(interface.address, moves), _address(interface.address6, moves)
    if (address, address6) == (interface.address, interface.address6):
        return interface
    mac = interface.mac
    if not interface.given_mac and not address == interface.address != "":
        mac = addresses.mac(ip_address(address or address6))
    return replace(interface, address=address, address6=address6, mac=mac)


def _subnet(subnet: str, moves: Moves) -> str:
    return str(moves.get(ip_network(subnet), subnet)) if subnet else ""


def _address(address: str, moves: Moves) -> str:
    """Return the address at the same position in the new subnet."""
    if not address:
        return address
    parsed = ip_address(address)
    for before, after in moves.items():
        if parsed in before:
            return str(after[int(parsed) - int(before.network_address)])
    return address
