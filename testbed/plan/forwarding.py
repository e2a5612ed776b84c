"""The paths that packets take by the routes of a plan's nodes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.families import FAMILIES, IPV4, POOLS
from testbed.matching import LinkKey, Match, Packets, crossed, longest
from testbed.plan.routes import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network, Node
    from testbed.plan.routes import Route

Hop = tuple[str, str, str]
"""A node, the next one, and the network between them: the ends of a link."""


class Forwarding:
    """Where packets of a family go by the routes of nodes.

    Args:
        nodes: all nodes of a plan.
        networks: all networks of a plan.
        family: 4 or 6.
    """

    def __init__(self, nodes: Iterable[Node], networks: Iterable[Network], family: int = IPV4) -> None:
        self._family = family
        self._nodes = {node.name: node for node in nodes}
        self._subnets = {each.name: each.subnets[family] for each in networks if family in each.subnets}
        self._on = {
            name: tuple(at.network for at in node.interfaces if at.network in self._subnets)
            for name, node in self._nodes.items()
        }
        self._members: dict[str, list[str]] = {}
        for name, networks_of_node in self._on.items():
            for network in networks_of_node:
                self._members.setdefault(network, []).append(name)
        self._tables = {
            name: {
                target: (route.via, route.network)
                for route in node.routes
                if route.family == family
                for target in route.to
            }
            for name, node in self._nodes.items()
        }
        self._pool = str(POOLS[family])
        self._subnet_routes = {
            name: routes
            for name, table in self._tables.items()
            if (routes := [to for to in table if "/" in to and to != self._pool])
        }
        pool = POOLS[family]
        self._in_pool = {name for name, subnet in self._subnets.items() if subnet.network_address in pool}
        self._lengths: dict[tuple[str, str], int | None] = {}

    def next_hop(self, node: str, network: str, address: str) -> tuple[str, str] | None:
        """Return the next node and the network to it, on the way to an address on a network that `node` is not on."""
        table = self._tables[node]
        target = network
        if network not in table:
            target = self._pool if network in self._in_pool and self._pool in table else DEFAULT
        if subnets := self._subnet_routes.get(node):
            pool = POOLS[self._family]
            known = {network: self._subnets[network].prefixlen, self._pool: pool.prefixlen}.get(target, -1)
            matching = [to for to in map(ip_network, subnets) if ip_address(address) in to and to.prefixlen > known]
            if matching:
                target = str(max(matching, key=lambda to: to.prefixlen))
        return table.get(target)

    def _walk(self, source: str, network: str, address: str) -> tuple[Hop, ...] | None:
        """Return the hops from a node to the first one on a network; None if no route leads there."""
        hops: list[Hop] = []
        node = source
        while network not in self._on[node]:
            following = self.next_hop(node, network, address)
            if following is None or following[0] not in self._nodes or len(hops) >= len(self._nodes):
                return None
            if node != source and not self._forwards(node, hops[-1][2], following[1]):
                return None
            hops.append((node, *following))
            node = following[0]
        return tuple(hops) if node == source or self._forwards(node, hops[-1][2], network) else None

    def _forwards(self, node: str, arrived: str, onward: str) -> bool:
        """Whether a node sends packets on from one network to another."""
        router = self._nodes[node].router
        return router is not None and not (self._family == IPV4 and router.hides(arrived, onward))

    def path(self, source: str, destination: str, address: str) -> tuple[Hop, ...] | None:
        """Return the hops of packets from one node to an address of another; None if they do not get there."""
        network = next((at.network for at in self._nodes[destination].interfaces if address in at.addresses), None)
        if network is None:
            return None
        before = self._walk(source, network, address)
        if before is None:
            return None
        names = [hop[0] for hop in before]
        if destination in names:  # it takes packets to any of its addresses, wherever they arrive
            return before[: names.index(destination)]
        last = before[-1][1] if before else source
        return before if last == destination else (*before, (last, destination, network))

    def address(self, source: str, destination: str) -> str | None:
        """Return the address of a node as another sees it: on the network that they share, or where the path arrives.

        None if there is no path.
        """
        target = self._nodes[destination]
        for network in self._on[source]:
            if network in self._on[destination]:
                return target.on(network).of_family(self._family)
        lengths = [
            (length, found)
            for at in target.interfaces
            if (found := at.of_family(self._family))
            if (length := self._length(source, at.network, found)) is not None
        ]
        return min(lengths, key=lambda reached: reached[0])[1] if lengths else None

    def _length(self, source: str, network: str, address: str) -> int | None:
        """Return the number of hops to the first node on a network; None if no route leads there.

        What routes by subnet do depends on the address, so the lengths of nodes with such routes are not kept.
        """
        if self._subnet_routes:
            hops = self._walk(source, network, address)
            return None if hops is None else len(hops)
        way: list[str] = []
        node, length, arrived = source, None, ""
        while len(way) <= len(self._nodes):
            following = None if network in self._on[node] else self.next_hop(node, network, address)
            if arrived and not self._forwards(node, arrived, following[1] if following else network):
                break
            if (node, network) in self._lengths:
                length = self._lengths[node, network]
                break
            if network in self._on[node]:
                length = 0
                break
            way.append(node)
            if following is None:
                break
            node, arrived = following
        for before in reversed(way):
            length = None if length is None else length + 1
            self._lengths[before, network] = length
        return length

    def both_ways(self, source: str, destination: str, address: str) -> tuple[tuple[Hop, ...], tuple[Hop, ...]]:
        """Return the hops of packets to an address of another node, and of the answers; none where no route leads."""
        if source == destination:
            return (), ()
        there = self.path(source, destination, address) or ()
        return there, self.answers(there)

    def answers(self, there: Sequence[Hop]) -> tuple[Hop, ...]:
        """Return the hops of the answers to packets of a path; none where no route leads.

        They go to the address that the packets came from: after a NAT on the way, that of the router; it sends them on.
        """
        stops = [(there[0][0], there[0][2])] if there else []
        for (_, node, before), (_, _, after) in pairwise(there):
            router = self._nodes[node].router
            if router and self._family == IPV4 and router.translates(before, after):
                stops.append((node, after))
        hops: list[Hop] = []
        node = there[-1][1] if there else ""
        for stop, network in reversed(stops):
            way = self.path(node, stop, self._nodes[stop].on(network).of_family(self._family))
            if way is None:
                return ()
            hops += way
            node = stop
        return tuple(hops)


def gateway(route: Route, nodes: Mapping[str, Node]) -> str:
    """Return the address of a route's next hop."""
    return nodes[route.via].on(route.network).of_family(route.family) if route.via in nodes else route.via


def installed(node: Node) -> Sequence[Route]:
    """Return the routes that a node is given; a router with a daemon of its own has only those of the file."""
    if node.router and node.router.routing == "none":
        return [route for route in node.routes if route.static]
    return node.routes


def forwarding(plan: Plan, family: int = IPV4) -> Forwarding:
    """Return where packets of a family go by the routes of a plan."""
    return Forwarding(plan.nodes, plan.networks, family)


def longest_ns(plan: Plan, source: str, destination: str, packets: Packets) -> int:
    """Return the longest time that one of these packets may take between two nodes, at any time of the timeline, ns."""
    ways: dict[LinkKey, dict[Match | None, int]] = {}
    for key, all_impairments in plan.all_impairments().items():
        lines = ways.setdefault(key.plain, {})
        lines[key.match] = max(impairments.longest_ns for impairments in all_impairments)

    def over(*hop: str) -> int:
        return sum(longest(packets, ways.get(key, {})) for key in crossed(*hop))

    if source == destination:
        return 0
    at_source, at_destination = ({at.network for at in plan.node(name).interfaces} for name in (source, destination))
    if shared := at_source & at_destination:
        return max(over(source, destination, network) for network in shared)
    ways_there = (_way(forwarding(plan, family), source, destination) for family in FAMILIES)
    return max(sum(over(*hop) for hop in hops) for hops in ways_there)


def _way(paths: Forwarding, source: str, destination: str) -> Sequence[Hop]:
    """Return the hops of packets from one node to another; none where no packets get there."""
    if address := paths.address(source, destination):
        return paths.path(source, destination, address) or ()
    address = paths.address(destination, source)  # behind a NAT, which lets answers in only
    return paths.both_ways(destination, source, address)[1] if address else ()
