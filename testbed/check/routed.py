"""The routes that daemons of nodes have found, for the paths that packets take now."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_network
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.families import family_of
from testbed.plan.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node


def as_routed(plan: Plan, call: Callable[[messages.NextHops], Mapping[str, Mapping[str, tuple[str, ...]]]]) -> Plan:
    """Return a plan in which routers with `routing: none` have the routes that their kernels have now.

    The routes are those to the ends of workloads. An address that such a router does not reach, or to which it spreads
    packets over several next hops, has no route.

    Args:
        plan: of the lab.
        call: calls the agent.
    """
    daemons = [node for node in plan.nodes if node.router and node.router.routing == "none"]
    addresses = tuple(dict.fromkeys(_ends(plan)))
    if not daemons or not addresses:
        return plan
    found = call(messages.NextHops(nodes={node.name: addresses for node in daemons}))
    owners = {
        address: (node.name, at.network)
        for node in plan.nodes
        for at in node.interfaces
        for address in (*at.addresses, *([_link_local(at.mac)] if at.address6 else ()))
    }
    routed = {name: _routes(hops, owners) for name, hops in found.items()}
    return replace(plan, nodes=tuple(replace(node, routes=routed.get(node.name, node.routes)) for node in plan.nodes))


def _ends(plan: Plan) -> Iterator[str]:
    """Yield the addresses to which the packets of workloads go, and the answers."""
    for workload in plan.workloads:
        yield workload.address
        yield from _addresses(plan.node(workload.source))
    for node in plan.nodes:
        if node.router and node.router.nat:
            yield from _addresses(node)


def _addresses(node: Node) -> Iterator[str]:
    return (address for interface in node.interfaces for address in interface.addresses)


def _link_local(mac: str) -> str:
    """Return the link-local address that an interface has by its MAC (RFC 4291, appendix A): daemons route by these."""
    first, *octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([first ^ 2, *octets[:2], 0xFF, 0xFE, *octets[2:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _routes(hops: Mapping[str, tuple[str, ...]], owners: Mapping[str, tuple[str, str]]) -> tuple[Route, ...]:
    single = {address: owners[gateways[0]] for address, gateways in hops.items() if gateways and gateways[0] in owners}
    return tuple(
        Route(to=(str(ip_network(address)),), via=via, network=network, family=family_of(address))
        for address, (via, network) in single.items()
        if len(hops[address]) == 1
    )
