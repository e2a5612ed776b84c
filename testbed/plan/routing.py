"""Computation of routes: the static ones of the file, and for every other network the shortest path to it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from testbed.plan.addresses import POOL
from testbed.plan.routes import Firewall, Nat, Route, Router
from testbed.topology.routers import SECOND, as_address, as_subnet

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from ipaddress import IPv4Network

    from testbed.plan.addresses import Hosts
    from testbed.topology.models import Topology
    from testbed.topology.routers import StaticRoute

_FORWARD = "net.ipv4.ip_forward"


def router(topology: Topology, name: str) -> Router | None:
    """Return what makes a node a router, or None if it is none."""
    asked = topology.nodes[name].router
    if asked is None:
        return None
    nat = firewall = None
    if asked.nat:
        inside, outside = _sides(topology, name, asked.nat.inside)
        timeout_ns = ceil(asked.nat.timeout_ns / SECOND) * SECOND
        nat = Nat(inside=inside, outside=outside, kind=asked.nat.kind, timeout_ns=timeout_ns, hairpin=asked.nat.hairpin)
    if asked.firewall:
        inside, outside = _sides(topology, name, asked.firewall.inside)
        firewall = Firewall(inside=inside, outside=outside, policy=asked.firewall.policy, icmp=asked.firewall.icmp)
    return Router(routing=asked.routing, nat=nat, firewall=firewall)


def _sides(topology: Topology, name: str, inside: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the networks of a node that are inside, and those outside."""
    own = list(topology.attachments(name))
    return tuple(one for one in own if one in inside), tuple(one for one in own if one not in inside)


def sysctls(topology: Topology, name: str) -> dict[str, str]:
    """Return the settings of the kernel that a node needs as a router."""
    return {_FORWARD: "1"} if topology.nodes[name].router else {}


def routes(topology: Topology, name: str, subnets: Mapping[str, IPv4Network], hosts: Hosts) -> tuple[Route, ...]:
    """Return the routes of a node, each with all destinations that it leads to.

    A node that forwards nothing and has one next hop for everything has one route for all allocated subnets. It has no
    default route unless the file gives one: what is not in the lab, the machine's DNS server for one, is unreachable at
    once, and not only at the next router.
    """
    if topology.nodes[name].container:  # it is taken as it is
        return ()
    static = [_static(topology, name, route, subnets, hosts) for route in topology.nodes[name].routes]
    given = {target for route in static for target in route.to}
    targets: dict[tuple[str, str], list[str]] = {}
    for network in topology.segments:
        hop = topology.graph.next_hops(network).get(name)
        if hop is not None and network not in given:
            targets.setdefault((hop.via, hop.network), []).append(network)
    if len(targets) == 1 and not topology.nodes[name].router and not given:
        ((way, networks),) = targets.items()
        others = [network for network in networks if not subnets[network].subnet_of(POOL)]
        targets = {way: [str(POOL), *others] if len(others) < len(networks) else others}
    computed = [Route(to=tuple(to), via=via, network=network) for (via, network), to in targets.items()]
    return (*static, *computed)


def _static(
    topology: Topology, name: str, route: StaticRoute, subnets: Mapping[str, IPv4Network], hosts: Hosts
) -> Route:
    """Return a route of the file, with names in place of the subnets and addresses that the plan knows."""
    own, subnet, address = topology.attachments(name), as_subnet(route.to), as_address(route.via)
    target = next((network for network, known in subnets.items() if known == subnet), route.to)
    if address is None:
        network, via = next(network for network in own if network in topology.attachments(route.via)), route.via
    else:
        network = next(network for network in own if address in subnets[network])
        via = next((node for node, known in hosts[network].items() if known == address), route.via)
    return Route(to=(target,), via=via, network=network, static=True)
