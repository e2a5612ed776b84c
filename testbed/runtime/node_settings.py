"""What both runtimes give nodes: settings, routes, and the names and addresses by which they know others."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.plan.forwarding import forwarding, gateway, installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.plan.forwarding import Forwarding
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.plan.routes import Nat

_SYSCTLS = {
    "net.ipv4.ip_forward": "0",
    **{
        f"net.ipv4.conf.{scope}.{name}": "0"
        for name in ("rp_filter", "arp_ignore", "arp_announce")
        for scope in ("all", "default")
    },
}
"""The kernel's own defaults. A new network namespace would copy these from the machine's first one instead
(net/ipv4/devinet.c, `devinet_init_net`), where distributions and the Docker Engine change them. The other settings that
it copies have no part in unicast traffic between nodes, but for sizes of TCP's buffers, which follow the machine's
memory, and the congestion control, which workloads choose themselves."""


def sysctls(node: Node) -> dict[str, str]:
    """Return the kernel's settings in a node: those of the plan, and defaults that do not depend on the machine."""
    return _SYSCTLS | dict(node.sysctls)


def routes(plan: Plan) -> dict[str, tuple[messages.NewRoute, ...]]:
    """Return the routes that the agent installs in each node, by address."""
    nodes = {node.name: node for node in plan.nodes}
    subnets = {network.name: network.subnets for network in plan.networks}
    return {
        node.name: tuple(
            messages.NewRoute(
                to=str(subnets[target][route.family]) if target in subnets else target, via=gateway(route, nodes)
            )
            for route in installed(node)
            for target in route.to
        )
        for node in plan.nodes
    }


def packet_filter(plan: Plan, node: Node) -> messages.PacketFilter | None:
    """Return what a node does to packets that it forwards; None if that is nothing."""
    nat, firewall = (node.router.nat, node.router.firewall) if node.router else (None, None)
    if nat is None and firewall is None:
        return None
    return messages.PacketFilter(
        nat=_nat(plan, nat) if nat else None,
        firewall=messages.NewFirewall(**asdict(firewall)) if firewall else None,
    )


def _nat(plan: Plan, nat: Nat) -> messages.NewNat:
    nodes = {node.name: node for node in plan.nodes}
    forward = tuple(
        messages.NewForward(
            port=each.port,
            address=next(at.address for at in nodes[each.node].interfaces if at.network in nat.inside),
            node_port=each.node_port,
            protocol=each.protocol,
        )
        for each in nat.forward
    )
    return messages.NewNat(**(asdict(nat) | {"forward": forward}))


def interfaces(node: Node, names: set[str]) -> tuple[messages.NewInterface, ...]:
    """Return the interfaces of a node that the agent makes: those on the networks of the given names."""
    return tuple(
        messages.NewInterface(
            network=interface.network,
            name=interface.name,
            address=interface.address,
            prefix_length=interface.prefix_length,
            mac=interface.mac,
            address6=interface.address6,
            prefix_length6=interface.prefix_length6,
            mtu=interface.mtu,
        )
        for interface in node.interfaces
        if interface.network in names
    )


def known_addresses(plan: Plan, node: Node, paths: Sequence[Forwarding]) -> Iterator[tuple[str, str]]:
    """Yield the names of all other nodes that a node reaches, with their addresses as it sees them.

    Args:
        plan: of the lab.
        node: the one that is to know the others.
        paths: of each family.
    """
    for other in plan.nodes:
        for of_family in paths:
            if other.name != node.name and (address := of_family.address(node.name, other.name)):
                yield other.name, address


def own_addresses(node: Node) -> tuple[str, ...]:
    """Return the addresses by which a node knows itself: of each family the first one that it has."""
    found = ((interface.address, interface.address6) for interface in node.interfaces)
    firsts = (next(filter(None, of_family), "") for of_family in zip(*found, strict=True))
    return tuple(filter(None, firsts))


def all_paths(plan: Plan) -> tuple[Forwarding, ...]:
    """Return where packets go, of each family that some network has."""
    families = {family for network in plan.networks for family in network.subnets}
    return tuple(forwarding(plan, family) for family in sorted(families))
