"""NAT and firewalls in a file: what they mean for routes and paths, and their faults."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed.matching import Packets
from testbed.plan import Plan, relocate, resolve
from testbed.plan.events import NewAddress
from testbed.plan.forwarding import forwarding, longest_ns
from testbed.plan.routes import Firewall, Nat
from testbed.topology import TopologyError, loads

MS = 1_000_000
CARRIER = """
name: carrier
networks: {den: , street: , wan: }
nodes:
  child: {networks: [den]}
  home: {networks: [den, street], router: {nat: {inside: [den], kind: full-cone, timeout: 1500ms, hairpin: true}}}
  carrier: {networks: [street, wan], router: {nat: {inside: [street]}}}
  core: {networks: [wan], router: true}
  server:
links:
  - {between: [child, home], delay: 1ms}
  - {between: [home, carrier], delay: 10ms}
  - {between: [carrier, core], delay: 100ms}
  - {wire: [core, server], delay: 1s}
workloads:
  - {name: rpc, kind: udp-rr, from: child, to: server, count: 1}
timeline:
  - {at: 1s, node: home, rebind: true}
"""
ONE = """
name: one
networks: {lan: , wan: }
nodes:
  a: {networks: [lan]}
  home: {networks: [lan, wan], router: {nat: {inside: [lan]}}}
  server: {networks: [wan]}
"""


def plan(text):
    return resolve(loads(text, "x.yml"))


def problems(text):
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    return caught.value.problems


def faults(text):
    return [(problem.line, problem.column, problem.code) for problem in problems(text)]


def test_the_plan_says_what_is_inside_and_outside_and_rounds_the_timeout_up():
    found = plan(CARRIER)
    assert found.node("home").router.nat == Nat(
        inside=("den",), outside=("street",), kind="full-cone", timeout_ns=2_000_000_000, hairpin=True
    )
    assert found.node("carrier").router.nat.kind == "port-restricted"
    assert found.node("core").router.nat is None


def test_a_plan_with_a_nat_is_read_back_and_one_that_differs_in_it_has_another_digest():
    found = plan(CARRIER)
    assert Plan.from_json(found.to_json()) == found
    others = [CARRIER.replace("full-cone", "address-restricted"), CARRIER.replace("1500ms", "3s"),
              CARRIER.replace("node: home", "node: carrier")]  # fmt: skip
    assert len({found.digest, *(plan(text).digest for text in others)}) == 4


def test_nodes_outside_have_no_routes_to_what_is_inside():
    found = plan(CARRIER)
    to = {node.name: {target for route in node.routes for target in route.to} for node in found.nodes}
    assert to["core"] == set()
    assert to["carrier"] == {"core-server"}
    assert to["home"] == {"wan", "core-server"}


def test_a_node_outside_reaches_the_router_and_nothing_behind_it():
    paths = forwarding(plan(CARRIER))
    assert paths.address("server", "child") is None
    assert paths.address("server", "home") is None
    assert paths.address("server", "carrier") == plan(CARRIER).node("carrier").on("wan").address
    assert paths.address("carrier", "child") is None
    assert paths.address("child", "server")


def test_answers_go_back_through_every_nat_on_the_way():
    found = plan(CARRIER)
    there, back = forwarding(found).both_ways("child", "server", found.node("server").interfaces[0].address)
    assert [hop[:2] for hop in there] == [
        ("child", "home"), ("home", "carrier"), ("carrier", "core"), ("core", "server")
    ]  # fmt: skip
    assert [hop[:2] for hop in back] == [(after, before) for before, after in (hop[:2] for hop in reversed(there))]
    packets = Packets()
    assert longest_ns(found, "child", "server", packets) == longest_ns(found, "server", "child", packets) == 1111 * MS


def test_a_workload_waits_for_the_round_trip_through_the_nats():
    (workload,) = plan(CARRIER).workloads
    assert workload.parameters["timeout_ns"] == 2 * 2222 * MS


def test_a_rebinding_is_an_event_that_changes_no_link():
    (event,) = plan(CARRIER).timeline
    assert (event.rebinds, event.changes, event.what) == (("home",), (), "NAT of home rebinds")


def test_a_firewall_leaves_routes_as_they_are():
    text = ONE.replace("nat: {inside: [lan]}", "firewall: {inside: [lan], policy: reject}")
    found = plan(text)
    assert found.node("home").router.firewall == Firewall(
        inside=("lan",), outside=("wan",), policy="reject", icmp="pass"
    )
    assert forwarding(found).address("server", "a")


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        ("nat: {inside: [lan, wan]}", [(6, 55, "nat-without-outside")]),
        ("firewall: {inside: [lan, wan]}", [(6, 60, "firewall-without-outside")]),
        ("nat: {inside: [la]}", [(6, 56, "unknown-network")]),
        ("nat: {inside: [lan, lan]}", [(6, 61, "duplicate-network")]),
        ("nat: {inside: []}", [(6, 55, "wrong-length")]),
        ("nat: {}", [(6, 46, "missing-key")]),
        ("nat: {inside: [lan], kind: fullcone}", [(6, 68, "unknown-value")]),
        ("nat: {inside: [lan], kind: symmetric, hairpin: true}", [(6, 88, "contradiction")]),
        ("nat: {inside: [lan], timeout: 0s}", [(6, 71, "bad-value")]),
        ("nat: {inside: [lan], kind: full-cone}, firewall: {inside: [lan]}", [(6, 90, "contradiction")]),
        ("firewall: {inside: [lan], policy: refuse}", [(6, 75, "unknown-value")]),
    ],
)
def test_faults_are_errors_at_their_place(router, expected):
    assert faults(ONE.replace("nat: {inside: [lan]}", router)) == expected


def test_a_nat_on_a_node_that_is_no_router_belongs_under_router():
    text = ONE.replace("router: {nat: {inside: [lan]}}", "nat: {inside: [lan]}")
    (problem,) = problems(text)
    assert (problem.line, problem.code) == (6, "unknown-key")
    assert "router: {nat: ...}" in problem.hint


def test_a_workload_to_a_node_behind_a_nat_says_whose_and_the_way_out():
    (problem,) = problems(f"{ONE}workloads: [{{name: x, kind: udp-rr, from: server, to: a, count: 1}}]\n")
    assert (problem.line, problem.column, problem.code) == (8, 13, "behind-nat")
    assert 'the NAT of "home"' in problem.message
    assert "from a to server" in problem.hint


def test_a_rebinding_names_a_node_with_a_nat():
    text = f"{CARRIER}  - {{at: 1s, node: core, rebind: true}}\n  - {{at: 1s, node: nobody, rebind: true}}\n"
    assert [code for *_, code in faults(text)] == ["no-nat", "unknown-node"]
    assert faults(text.replace("node: core, rebind: true", "node: home, rebind: false"))[0][2] == "unknown-value"


REBOUND = ONE.replace("wan: }", "wan: {subnet: 198.18.22.0/24}}").replace(
    "  server: {networks: [wan]}",
    "  server: {networks: {wan: {address: 198.18.22.10}}}",
)
REBOUND += """
  both: {networks: [lan, wan], router: {nat: {inside: [lan]}}}
workloads: [{name: v, kind: udp-stream, from: a, to: server, duration: 9s}]
timeline:
"""


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("address: 198.18.22.10", "address-taken"),
        ("address: 198.18.22.1", "address-taken"),
        ("address: 198.18.22.255", "address-outside-subnet"),
        ("address: 198.18.23.7", "address-outside-subnet"),
        ("address: newer", "bad-value"),
        ("network: wan", "contradiction"),
        ("address: new, network: lan", "unknown-network"),
    ],
)
def test_faults_of_another_address_of_a_nat(keys, code):
    assert [found for *_, found in faults(f"{REBOUND}  - {{at: 1s, node: home, rebind: true, {keys}}}\n")] == [code]


def test_a_nat_gets_the_address_that_is_given_or_one_that_nobody_has():
    events = "".join(
        f"  - {{at: 1s, node: {node}, rebind: true, address: {address}}}\n"
        for node, address in (("home", "198.18.22.2"), ("home", "new"), ("both", "new"))
    )
    found = plan(REBOUND + events)
    given, *new = [(event.what, event.rebinds, *event.addresses) for event in found.timeline]
    assert given == (
        "NAT of home rebinds with the address 198.18.22.2",
        (),
        NewAddress(node="home", network="wan", address="198.18.22.2"),
    )
    assert [address.address for *_, address in new] == ["198.18.22.254", "198.18.22.253"]
    own = {found.node(node).on("wan").address for node in ("home", "both", "server")}
    assert not own & {"198.18.22.2", "198.18.22.254", "198.18.22.253"}


def test_a_new_address_moves_with_its_subnet_and_a_wire_has_none():
    text = REBOUND.replace("wan: {subnet: 198.18.22.0/24}", "wan: ").replace("{wan: {address: 198.18.22.10}}", "[wan]")
    found = plan(f"{text}  - {{at: 1s, node: home, rebind: true, address: new}}\n")
    moved = relocate(found, [IPv4Network(network.subnet) for network in found.networks])
    (event,) = moved.timeline
    assert IPv4Address(event.addresses[0].address) in IPv4Network(moved.networks[1].subnet)
    assert moved.digest == found.digest
    wired = """
name: wired
nodes: {a: , home: {router: {nat: {inside: [a-home]}}}, server: }
links: [{wire: [a, home]}, {wire: [home, server]}]
workloads: [{name: v, kind: udp-stream, from: a, to: server, duration: 9s}]
timeline: [{at: 1s, node: home, rebind: true, address: new}]
"""
    assert [code for *_, code in faults(wired)] == ["no-free-address"]
