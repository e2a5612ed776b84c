"""Computed routes against brute force, and what follows the routes of a plan against both."""

from __future__ import annotations

from itertools import count

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.plan import resolve
from testbed.plan.forwarding import forwarding
from testbed.topology import loads
from testbed.topology.graph import Graph

NETWORKS = ("n0", "n1", "n2", "n3", "n4", "n5")
NODES = tuple(f"x{number}" for number in range(8))


@st.composite
def graphs(draw):
    """Which networks nodes are on, which of them forward, and what each hop costs."""
    on = {node: draw(st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=4, unique=True)) for node in NODES}
    routers = draw(st.sets(st.sampled_from(NODES)))
    costs = draw(
        st.dictionaries(st.tuples(*[st.sampled_from(part) for part in (NODES, NODES, NETWORKS)]), st.integers(1, 9))
    )
    return on, routers, costs


def least_over(on, routers, costs, source, ends):
    """The least cost from a node over routers to one of a few routers; None if there is no way."""
    reached = {source: 0}
    for _ in on:
        for node, so_far in list(reached.items()):
            if node != source and node not in routers:
                continue
            for over in on[node]:
                for router in routers:
                    if router != node and over in on[router]:
                        cost = so_far + costs.get((node, router, over), 1)
                        reached[router] = min(cost, reached.get(router, cost))
    return min((reached[end] for end in ends if end in reached and end != source), default=None)


@given(graphs())
def test_next_hops_are_on_ways_of_the_least_cost(drawn):
    on, routers, costs = drawn
    graph = Graph(on, routers, lambda *hop: costs.get(hop, 1))
    for network in NETWORKS:
        hops = graph.next_hops(network)
        for node in NODES:
            if network in on[node]:
                assert node not in hops
                continue
            ends = [router for router in routers if network in on[router]]
            least = least_over(on, routers, costs, node, ends)
            assert (hops[node].cost if node in hops else None) == least
            if node in hops:
                hop = hops[node]
                assert hop.via in routers
                assert hop.network in on[node]
                assert hop.network in on[hop.via]
                rest = 0 if network in on[hop.via] else hops[hop.via].cost
                assert hop.cost == rest + costs.get((node, hop.via, hop.network), 1)


@given(graphs())
def test_a_path_ends_where_it_should_and_only_routers_are_between(drawn):
    on, routers, costs = drawn
    graph = Graph(on, routers, lambda *hop: costs.get(hop, 1))
    for source in NODES:
        for destination in NODES:
            if source == destination:
                continue
            path = graph.path(source, destination)
            if path is None:
                assert not set(on[source]) & set(on[destination])
                continue
            assert (path[0][0], path[-1][1]) == (source, destination)
            assert [hop[1] for hop in path[:-1]] == [hop[0] for hop in path[1:]]
            assert all(hop[1] in routers for hop in path[:-1])
            assert all(hop[2] in on[hop[0]] and hop[2] in on[hop[1]] for hop in path)
            assert len({hop[0] for hop in path}) == len(path)
            ways = [graph.path(source, destination, network) for network in on[destination]]
            spent = [sum(costs.get(hop, 1) for hop in way) for way in ways if way]
            assert sum(costs.get(hop, 1) for hop in path) == min(spent) or set(on[source]) & set(on[destination])


@settings(max_examples=25)
@given(st.integers(2, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9), st.data())
def test_the_routes_of_a_plan_lead_along_the_paths_of_the_graph(nodes, pairs, data):
    pairs = sorted({tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1] and max(pair) < nodes})
    degree = [sum(number in pair for pair in pairs) for number in range(nodes)]
    numbers = count(1)
    links = [
        {"wire": [f"x{one}", f"x{other}"], "cost": data.draw(st.integers(1, 5)), "name": f"w{next(numbers)}"}
        for one, other in pairs
    ]
    file = {
        "name": "drawn",
        "nodes": {f"x{number}": {"router": degree[number] > 1} for number in range(nodes) if degree[number]},
        "links": links,
    }
    if not links:
        return
    topology = loads(yaml.safe_dump(file, sort_keys=False), "drawn.yml")
    plan = resolve(topology)
    ways = forwarding(plan)
    for source in topology.nodes:
        for destination in topology.nodes:
            if source == destination:
                continue
            expected = topology.graphs[4].path(source, destination)
            address = ways.address(source, destination)
            assert (address is None) == (expected is None)
            if expected is not None:
                arrival = plan.node(destination).on(expected[-1][2]).address
                assert ways.path(source, destination, arrival) == expected
                assert address is not None
                followed = ways.path(source, destination, address)
                assert followed is not None
                assert followed[-1][1] == destination
