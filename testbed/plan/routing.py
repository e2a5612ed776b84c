"""Computation of routes: the static ones of the file, and for every other network the shortest path to it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from testbed.families import FAMILIES, IPV4, IPV6, POOLS
from testbed.plan.routes import DEFAULT, Firewall, Nat, Route, Router
from testbed.topology.routers import SECOND, as_address, as_subnet

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.plan.addresses import Placed
    from testbed.topology.models import Topology
    from testbed.topology.routers import StaticRoute

_FORWARD = {IPV4: "net.ipv4.ip_forward", IPV6: "net.ipv6.conf.all.forwarding"}
"""The setting that makes a node a router, by family."""


def router(topology: Topology, name: str) -> Router | None:
    """Return what makes a node a router, or None if it is none."""
    asked = topology.nodes[name].router
    if asked is None:
        return None
    nat = firewall = None
    if asked.nat:
        inside, outside = _sides(topology, name, asked.nat.inside)
        timeout_ns = ceil(asked.nat.timeout_ns / SECOND) * SECOND
        nat = Nat(
            inside=inside,
            outside=outside,
            kind=asked.nat.kind,
            timeout_ns=timeout_ns,
            hairpin=asked.nat.hairpin,
            forward=asked.nat.forward,
        )
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
    if not topology.nodes[name].router:
        return {}
    families = {family for network in topology.attachments(name) for family in topology.families_of(network)}
    return {_FORWARD[family]: "1" for family in FAMILIES if family in families}


def routes(topology: Topology, name: str, family: int, placed: Placed) -> tuple[Route, ...]:
    """Return the routes of a node for a family, each with all destinations that it leads to.

    A node that forwards nothing and has one next hop for everything has one route for all allocated subnets. It has a
    default route only if the file gives one, or behind a NAT that leads out: what is not in the lab, the machine's DNS
    server for one, is unreachable at once otherwise, and not only at the next router.

    Args:
        topology: valid.
        name: of the node.
        family: 4 or 6.
        placed: its subnets and addresses.
    """
    subnets = placed.subnets
    if topology.nodes[name].container:  # it is taken as it is
        return ()
    static = [
        found for route in topology.nodes[name].routes if (found := _static(topology, name, route, family, placed))
    ]
    given = {target for route in static for target in route.to}
    targets: dict[tuple[str, str], list[str]] = {}
    for network in subnets:
        hop = topology.graphs[family].next_hops(network).get(name)
        if hop is not None and network not in given:
            targets.setdefault((hop.via, hop.network), []).append(network)
    pool = POOLS[family]
    if len(targets) == 1 and not topology.nodes[name].router and not given:
        ((way, networks),) = targets.items()
        others = [network for network in networks if subnets[network].network_address not in pool]
        targets = {way: [str(pool), *others] if len(others) < len(networks) else others}
    if family == IPV4 and DEFAULT not in given and (way_out := _way_out(topology, name)):
        targets.setdefault(way_out, []).append(DEFAULT)
    computed = [Route(to=tuple(to), via=via, network=network, family=family) for (via, network), to in targets.items()]
    return (*static, *computed)


def _way_out(topology: Topology, name: str) -> tuple[str, str] | None:
    """Return the next hop on a node's way out of the lab, and the network to it; None if it has none, or its own.

    Behind a NAT that is on a network which leads out: nothing else knows where answers to other nodes' addresses go.
    """
    own = topology.attachments(name)
    leading = {network for network, each in topology.segments.items() if not each.internal}
    if leading & own.keys():
        return None
    for router, nat in topology.nats.items():
        if not (leading & topology.attachments(router).keys()) - set(nat.inside):
            continue
        for network in nat.inside:
            if network in own:
                return router, network
            if hop := topology.graphs[IPV4].next_hops(network).get(name):
                return hop.via, hop.network
    return None


def _static(topology: Topology, name: str, route: StaticRoute, family: int, placed: Placed) -> Route | None:
    """Return a route of the file, with names in place of the subnets and addresses that the plan knows.

    None where the route is of the other family. One that names only networks and nodes is of each that they have.
    """
    subnets, own = placed.subnets, topology.attachments(name)
    subnet, address = as_subnet(route.to), as_address(route.via)
    if any(each is not None and each.version != family for each in (subnet, address)):
        return None
    target = next((network for network, known in subnets.items() if known == subnet), route.to)
    if target != DEFAULT and subnet is None and target not in subnets:
        return None
    if address is None:
        shared = [each for each in own if each in topology.attachments(route.via) and each in subnets]
        if not shared:
            return None
        network, via = shared[0], route.via
    else:
        network = next(each for each in own if each in subnets and address in subnets[each])
        via = next((node for node, known in placed.hosts[network].items() if known == address), route.via)
    return Route(to=(target,), via=via, network=network, static=True, family=family)
