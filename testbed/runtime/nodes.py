"""What both runtimes tell of nodes: their routes, and the names and addresses by which they know each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.plan.forwarding import gateway, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.plan.forwarding import Forwarding
    from testbed.plan.model import Node, Plan


def routes(plan: Plan) -> dict[str, tuple[messages.NewRoute, ...]]:
    """Return the routes that the agent installs in each node, by address."""
    nodes = {node.name: node for node in plan.nodes}
    subnets = {network.name: network.subnet for network in plan.networks}
    return {
        node.name: tuple(
            messages.NewRoute(to=subnets.get(target, target), via=gateway(route, nodes))
            for route in installed(node)
            for target in route.to
        )
        for node in plan.nodes
    }


def packet_filter(node: Node) -> messages.PacketFilter | None:
    """Return what a node does to packets that it forwards; None if that is nothing."""
    nat, firewall = (node.router.nat, node.router.firewall) if node.router else (None, None)
    if nat is None and firewall is None:
        return None
    return messages.PacketFilter(
        nat=messages.NewNat(**asdict(nat)) if nat else None,
        firewall=messages.NewFirewall(**asdict(firewall)) if firewall else None,
    )


def interfaces(node: Node, names: set[str]) -> tuple[messages.NewInterface, ...]:
    """Return the interfaces of a node that the agent makes: those on the networks of the given names."""
    return tuple(
        messages.NewInterface(
            network=interface.network,
            name=interface.name,
            address=interface.address,
            prefix_length=interface.prefix_length,
            mac=interface.mac,
        )
        for interface in node.interfaces
        if interface.network in names
    )


def known_addresses(plan: Plan, node: Node, paths: Forwarding) -> Iterator[tuple[str, str]]:
    """Yield the names of all other nodes that a node reaches, with their addresses as it sees them."""
    for other in plan.nodes:
        if other.name != node.name and (address := paths.address(node.name, other.name)):
            yield other.name, address
