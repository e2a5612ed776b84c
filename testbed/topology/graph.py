"""Shortest paths between nodes that share no network, over the nodes that forward.

Every choice is deterministic: of several next hops at the same cost the first one wins, in the order of the node's
networks, then of the file's nodes.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from testbed.families import FAMILIES, IPV4

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from testbed.topology.routers import RouterKeys

Hop = tuple[str, str, str]
"""A node, the next one, and the network between them, as the ends of a link."""


class NextHop(NamedTuple):
    """Where a node sends packets for a network that it is not on.

    Attributes:
        cost: of the path to the first node that is on that network.
        via: the next node.
        network: the network that both are on.
    """

    cost: int
    via: str
    network: str


class _Onward(NamedTuple):
    """A router's path to a network: its cost, and the network of its first hop."""

    cost: int
    router: str
    network: str


class Graph:
    """The nodes of a topology, with the networks that they are on.

    Args:
        on: by node, the networks that it is on, in order.
        routers: the nodes that forward. No path leads through another one.
        cost: of a hop, by its source, destination and network; at least 1.
        hidden: by router with NAT, the networks inside, to which no path leads from its other ones.
    """

    def __init__(
        self,
        on: Mapping[str, Collection[str]],
        routers: Collection[str],
        cost: Callable[[str, str, str], int],
        hidden: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self._on = on
        self._cost = cost
        self._routers = routers
        self._hidden = {router: networks for router, networks in hidden.items() if networks}
        members: defaultdict[str, list[str]] = defaultdict(list)
        for node in on:
            if node in routers:
                for network in on[node]:
                    members[network].append(node)
        self._routers_on: Mapping[str, Sequence[str]] = members
        self._neighbours = {
            node: [
                (router, network, cost(node, router, network))
                for network in networks
                for router in members.get(network, ())
                if router != node
            ]
            for node, networks in on.items()
        }
        self._found: dict[str, Mapping[str, NextHop]] = {}

    def next_hops(self, network: str) -> Mapping[str, NextHop]:
        """Return, for each node that is not on a network but reaches it, where it sends packets for it."""
        if network not in self._found:
            costs = self._costs(network)
            best = {}
            for node, neighbours in self._neighbours.items():
                if network in self._on[node]:
                    continue
                hops = [
                    NextHop(costs[router].cost + cost, router, over)
                    for router, over, cost in neighbours
                    if router in costs and not self._hides(router, over, costs[router].network)
                ]
                if hops:
                    best[node] = min(hops, key=lambda hop: hop.cost)
            self._found[network] = best
        return self._found[network]

    def _hides(self, router: str, arrived: str, onward: str) -> bool:
        """Whether the NAT of a router keeps packets that arrive over one network from another one."""
        hidden = self._hidden.get(router, ())
        return onward in hidden and arrived not in hidden

    def _costs(self, network: str) -> Mapping[str, _Onward]:
        """Return the cost of each router's path to a network (Dijkstra, from the network backwards)."""
        costs: dict[str, _Onward] = {}
        queue = [_Onward(0, router, network) for router in self._routers_on.get(network, ())]
        backwards = self._backwards()
        while queue:
            found = heapq.heappop(queue)
            if found.router in costs:
                continue
            costs[found.router] = found
            for before, over, more in backwards.get(found.router, ()):
                if before not in costs and not self._hides(found.router, over, found.network):
                    heapq.heappush(queue, _Onward(found.cost + more, before, over))
        return costs

    def _backwards(self) -> Mapping[str, Sequence[tuple[str, str, int]]]:
        """Return, by router, the routers that have it as a neighbour, with the networks and costs of those hops."""
        if not hasattr(self, "_before"):
            before: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
            for node in self._routers:
                for router, over, cost in self._neighbours.get(node, ()):
                    before[router].append((node, over, cost))
            self._before = before
        return self._before

    def connects(self, source: str, destination: str, network: str | None = None) -> bool:
        """Whether `path` finds one from a node to another; from a node to itself, whether it is on a network."""
        return bool(self._on[source]) if source == destination else self.path(source, destination, network) is not None

    def path(self, source: str, destination: str, network: str | None = None) -> tuple[Hop, ...] | None:
        """Return the path from one node to another; None if there is none.

        Args:
            source: a node.
            destination: another node.
            network: of the destination, where the path arrives; the nearest one unless given. Nodes that share a
                network are neighbours, and their path is one hop.
        """
        arrivals = [network] if network is not None else list(self._on[destination])
        if shared := [name for name in self._on[source] if name in arrivals]:
            return ((source, destination, shared[0]),)
        reached = [(hop.cost, name) for name in arrivals if (hop := self.next_hops(name).get(source))]
        ways = [(cost, self._way(source, destination, name)) for cost, name in reached]
        return min(ways, key=lambda way: (self._cost_of(way[1]), way[0]), default=(0, None))[1]

    def _way(self, source: str, destination: str, arrival: str) -> tuple[Hop, ...]:
        """Return the path from one node to another that arrives over one of its networks, which the source reaches."""
        hops: list[Hop] = []
        node = source
        while arrival not in self._on[node] and node != destination:
            hop = self.next_hops(arrival)[node]
            hops.append((node, hop.via, hop.network))
            node = hop.via
        if node != destination:
            hops.append((node, destination, arrival))
        return tuple(hops)

    def _cost_of(self, way: Sequence[Hop]) -> int:
        """Return what all hops of a path cost, the last one too, which routes to a network don't count."""
        return sum(self._cost(*hop) for hop in way)

    def answers(self, there: Sequence[Hop]) -> tuple[Hop, ...]:
        """Return the path of the answers to packets of a path; empty if there is none.

        They go to the address that the packets came from: after a NAT on the way, that of the router; it sends them on.
        """
        if not there:
            return ()
        stops = [(there[0][0], there[0][2])]
        stops += [
            (node, after) for (_, node, before), (_, _, after) in pairwise(there) if self._hides(node, after, before)
        ]
        hops: list[Hop] = []
        node = there[-1][1]
        for stop, network in reversed(stops):
            way = self.path(node, stop, network)
            if way is None:
                return ()
            hops += way
            node = stop
        return tuple(hops)


def graphs_of(
    on: Mapping[str, Collection[str]],
    routers: Mapping[str, RouterKeys],
    families_of: Callable[[str], Collection[int]],
    cost: Callable[[str, str, str], int] = lambda *_: 1,
) -> Mapping[int, Graph]:
    """Return the paths between nodes over IPv4 and over IPv6, by family.

    NAT is IPv4's: over IPv6 it hides nothing.

    Args:
        on: by node, the networks that it is on, in order.
        routers: the nodes that forward, by name.
        families_of: the families of IP of a network.
        cost: as for `Graph`.
    """
    hidden = {name: router.hidden for name, router in routers.items()}
    return {
        family: Graph(
            {node: [each for each in networks if family in families_of(each)] for node, networks in on.items()},
            routers.keys(),
            cost,
            hidden if family == IPV4 else {},
        )
        for family in FAMILIES
    }
