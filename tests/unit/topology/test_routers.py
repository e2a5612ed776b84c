"""Routers, wires and routes in a file: what they mean, and their faults."""

import pytest

from testbed.matching import Packets
from testbed.nat import Forward
from testbed.plan import resolve
from testbed.plan.forwarding import forwarding, installed, longest_ns
from testbed.plan.routes import Route
from testbed.topology import TopologyError, loads

LINE = """
name: line
nodes: {a: , r1: {router: true}, r2: {router: true}, b: }
links:
  - {wire: [a, r1], delay: 5ms}
  - {wire: [r1, r2], delay: 10ms}
  - {from: r2, to: r1, delay: 15ms}
  - {wire: [r2, b], delay: 20ms, mtu: 1400}
workloads:
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 1}
"""


def plan(text):
    return resolve(loads(text, "x.yml"))


def faults(text):
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    return [(problem.line, problem.column, problem.code) for problem in caught.value.problems]


def said(text):
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    return " ".join(f"{problem.message} {problem.hint}" for problem in caught.value.problems)


def test_a_wire_is_a_network_of_two_nodes_without_a_gateway():
    found = plan(LINE)
    assert [(each.name, each.wire, each.gateway, each.subnet[-3:], each.mtu) for each in found.networks] == [
        ("a-r1", True, "", "/30", 1500),
        ("r1-r2", True, "", "/30", 1500),
        ("r2-b", True, "", "/30", 1400),
    ]
    assert [(at.name, at.prefix_length) for at in found.node("r1").interfaces] == [("wire0", 30), ("wire1", 30)]


def test_a_node_with_wires_is_on_the_networks_that_it_names_and_no_others():
    found = plan("name: x\nnodes: {a: {networks: [lan]}, b: , c: }\nlinks: [{wire: [a, b]}]\n")
    on = {node.name: [(at.network, at.name) for at in node.interfaces] for node in found.nodes}
    assert on == {"a": [("lan", "eth0"), ("a-b", "wire0")], "b": [("a-b", "wire0")], "c": [("lan", "eth0")]}


def test_a_from_to_line_differs_from_its_wire():
    links = {link.key[:3]: link.impairments.delay_ns // 1_000_000 for link in plan(LINE).links}
    assert (links["r1", "r2", "r1-r2"], links["r2", "r1", "r1-r2"]) == (10, 15)


def test_several_wires_between_two_nodes_have_names():
    text = "name: x\nnodes: {a: , b: }\nlinks: [{wire: [a, b]}, {wire: [a, b], name: second}]\n"
    assert [network.name for network in plan(text).networks] == ["a-b", "second"]
    assert faults(text.replace(", name: second", "")) == [(3, 25, "duplicate-name")]


def test_routes_lead_to_every_network_that_a_node_is_not_on():
    found = plan(LINE)
    assert found.node("a").routes == (Route(to=("198.18.0.0/15",), via="r1", network="a-r1"),)
    assert found.node("r1").routes == (Route(to=("r2-b",), via="r2", network="r1-r2"),)
    assert found.node("r2").routes == (Route(to=("a-r1",), via="r1", network="r1-r2"),)


def test_a_workload_goes_to_the_address_where_its_path_arrives_and_waits_for_the_whole_round_trip():
    found = plan(LINE.replace("delay: 10ms}", "delay: 2s}"))
    (workload,) = found.workloads
    assert workload.address == found.node("b").on("r2-b").address
    assert workload.parameters["timeout_ns"] >= 2 * 2_065_000_000
    assert (longest_ns(found, "a", "b", Packets()), longest_ns(found, "b", "a", Packets())) == (
        2_025_000_000,
        40_000_000,
    )


def test_each_node_knows_the_names_of_all_nodes_that_it_reaches():
    found = plan(LINE)
    ways = forwarding(found)
    assert ways.address("a", "r2") == found.node("r2").on("r1-r2").address
    assert ways.address("b", "r2") == found.node("r2").on("r2-b").address


SQUARE = """
name: square
nodes: {a: {router: true}, b: {router: true}, c: {router: true}, d: {router: true}}
links:
  - {wire: [a, b]}
  - {wire: [b, d]}
  - {wire: [a, c]}
  - {wire: [c, d]}
"""


def ways(text):
    return [hop[1] for hop in loads(text, "x.yml").graphs[4].path("a", "d") or ()]


def test_of_several_shortest_paths_the_first_in_the_file_is_taken():
    assert ways(SQUARE) == ["b", "d"]


@pytest.mark.parametrize(
    "costly", ["  - {wire: [a, b], cost: 2}\n", "  - {wire: [a, b]}\n  - {from: a, to: b, cost: 2}\n"]
)
def test_paths_of_lower_cost_are_taken(costly):
    assert ways(SQUARE.replace("  - {wire: [a, b]}\n", costly)) == ["c", "d"]


def test_the_cost_of_the_last_hop_counts():
    assert ways(SQUARE.replace("{wire: [b, d]}", "{wire: [b, d], cost: 5}")) == ["c", "d"]


def test_static_routes_take_the_place_of_computed_ones():
    found = plan(
        "name: x\nnetworks: {lan: {subnet: 198.18.1.0/24}}\n"
        "nodes: {a: {networks: [lan], routes: [{to: default, via: 198.18.1.9}, {to: far, via: s}]},"
        " r: {networks: [lan], router: true}, s: {networks: [lan], router: true}, b: }\n"
        "links: [{wire: [r, b], name: far}, {wire: [s, r]}]\n"
    )
    assert found.node("a").routes == (
        Route(to=("default",), via="198.18.1.9", network="lan", static=True),
        Route(to=("far",), via="s", network="lan", static=True),
        Route(to=("s-r",), via="r", network="lan"),
    )
    assert [hop[1] for hop in forwarding(found).path("a", "b", found.node("b").on("far").address) or ()] == [
        "s",
        "r",
        "b",
    ]


def test_a_router_with_a_daemon_of_its_own_gets_the_routes_of_the_file_only():
    found = plan(LINE.replace("r1: {router: true}", "r1: {router: {routing: none}, routes: [{to: default, via: r2}]}"))
    node = found.node("r1")
    assert [route.to for route in node.routes] == [("default",), ("r2-b",)]
    assert [route.to for route in installed(node)] == [("default",)]
    assert node.sysctls["net.ipv4.ip_forward"] == "1"


def test_router_false_is_no_router():
    assert plan(LINE.replace("b: }", "b: {router: false}}")).node("b").router is None


@pytest.mark.parametrize(
    ("nodes", "links", "found"),
    [
        ("a: , b: ", "{wire: [a, a]}", [(3, 9, "same-node")]),
        ("a: , b: ", "{wire: [a, z]}", [(3, 20, "unknown-node")]),
        ("a: {router: true}, b: ", "{wire: [a, b]}", [(2, 21, "router-with-one-network")]),
        ("a: {router: 5}, b: ", "{wire: [a, b]}", [(2, 21, "wrong-type")]),
        ("a: , b: ", "{wire: [a, b], cost: 0}", [(3, 30, "out-of-range")]),
        ("a: , b: ", "{wire: [a, b], subnet: 198.18.7.0/31}", [(3, 32, "bad-value")]),
        ("a: {routes: [{to: x, via: b}]}, b: ", "{wire: [a, b]}", [(2, 27, "unknown-network")]),
        ("a: {routes: [{to: default, via: c}]}, b: , c: ", "{wire: [a, b]}", [(2, 41, "unreachable-next-hop")]),
        ("a: {routes: [{to: default, via: 198.18.3.1}]}, b: ", "{wire: [a, b]}", [(2, 41, "unreachable-next-hop")]),
        (
            "a: {routes: [{to: default, via: b}, {to: default, via: b}]}, b: ",
            "{wire: [a, b]}",
            [(2, 50, "duplicate-route")],
        ),
        (
            "a: , b: , c: {router: true}",
            "{wire: [a, c], subnet: 198.18.7.0/30}, {wire: [c, b], subnet: 198.18.7.0/29}",
            [(3, 32, "subnet-overlap")],
        ),
    ],
)
def test_faults_are_errors_at_their_place(nodes, links, found):
    assert faults(f"name: x\nnodes: {{{nodes}}}\nlinks: [{links}]\n") == found


def test_impairments_belong_to_links_between_neighbours():
    text = LINE.replace("workloads:", "  - {between: [a, b], delay: 1ms}\nworkloads:")
    assert "they are 3 hops apart, over r1, r2" in said(text)


def test_a_workload_needs_a_route():
    text = LINE.replace("r1: {router: true}", "r1: ")
    assert faults(text) == [(10, 5, "no-route")]
    hint = said("name: x\nnodes: {a: , m: , b: }\nlinks: [{wire: [a, m]}, {wire: [m, b]}]\n"
                "workloads: [{name: w, kind: ping, from: a, to: b}]\n")  # fmt: skip
    assert "m is on a network of each: let it forward, router: true" in hint


def test_a_tree_of_routers_moves_as_a_whole_and_keeps_its_digest():
    names = [f"r{number}" for number in range(1, 32)]
    wires = [f"  - {{wire: [r{number // 2}, r{number}]}}" for number in range(2, 32)]
    inner = [f"  {name}: {{router: true}}" for name in names[:15]]
    text = "\n".join(["name: tree", "nodes:", *inner, *(f"  {name}:" for name in names[15:]), "links:", *wires])
    one, other = resolve(loads(text, "x.yml"), lab="one"), resolve(loads(text, "x.yml"), lab="other")
    assert one.digest == other.digest
    assert {network.subnet for network in one.networks}.isdisjoint(network.subnet for network in other.networks)
    hops = forwarding(one).path("r16", "r31", one.node("r31").interfaces[0].address)
    assert [hop[1] for hop in hops or ()] == ["r8", "r4", "r2", "r1", "r3", "r7", "r15", "r31"]


FORWARDING = """
name: x
networks: {home: , wan: {internal: false}}
nodes:
  server: {networks: [home]}
  other: {networks: [wan]}
  router: {networks: [home, wan], router: {nat: {inside: [home], forward: PORTS}}}
"""


def test_a_nat_forwards_ports_to_nodes_inside():
    found = plan(FORWARDING.replace("PORTS", '["8080:server:80", "53:server:5353/udp"]'))
    assert found.node("router").router.nat.forward == (
        Forward(port=8080, node="server", node_port=80),
        Forward(port=53, node="server", node_port=5353, protocol="udp"),
    )


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("8080:other:80", 'leads to "other", which is on no network inside.*nodes inside are: server'),
        ("8080:sever:80", '"sever", which is not a node.*did you mean "server"'),
        ("8080:80", "which is not PORT:NODE:PORT"),
        ("0:server:80", "0 is not a port: 1 to 65535"),
        ("50000:server:80", "gives the ports 49152 to 60999 to mappings"),
    ],
)
def test_faults_of_a_forwarded_port(port, expected):
    with pytest.raises(TopologyError, match=f"(?s)^x.yml:7:76: .*{expected}"):
        loads(FORWARDING.replace("PORTS", f'["{port}"]'), "x.yml")


def test_a_port_is_forwarded_once():
    assert faults(FORWARDING.replace("PORTS", '["80:server:80", "80:server:81"]')) == [(7, 92, "duplicate-port")]


def test_nodes_behind_a_nat_that_leads_out_have_a_default_route_and_no_others():
    routes = {node.name: {to for route in node.routes for to in route.to} for node in plan(LEADING).nodes}
    assert {name for name, to in routes.items() if "default" in to} == {"deep", "inner"}


LEADING = """
name: x
networks: {deep-lan: , home: , wan: {internal: false}, plain: }
nodes:
  deep: {networks: [deep-lan]}
  inner: {networks: [deep-lan, home], router: true}
  nat: {networks: [home, wan], router: {nat: {inside: [home]}}}
  router: {networks: [wan, plain], router: true}
  lone: {networks: [plain]}
"""
