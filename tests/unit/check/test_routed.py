"""Paths over routers that find their routes themselves are those that their kernels have now."""

from ipaddress import IPv6Address

import pytest

from testbed.check import as_routed, paths_of
from testbed.plan import resolve
from testbed.topology import loads

RING = """
name: ring
nodes: {a: , r1: &r {router: {routing: none}}, r2: *r, r3: *r, b: }
links:
  - {wire: [a, r1], delay: 1ms}
  - {wire: [r1, r2], delay: 5ms}
  - {wire: [r2, r3], delay: 5ms}
  - {wire: [r3, r1], delay: 5ms}
  - {wire: [r2, b], delay: 1ms}
workloads:
  - {name: rpc, kind: udp-rr, from: a, to: b, count: 1}
"""


@pytest.fixture(scope="module")
def plan():
    return resolve(loads(RING, "x.yml"))


def address(plan, node, network):
    return plan.node(node).on(network).address


def paths(plan, hops_of):
    """The paths over the ring if the kernels have these next hops to both ends."""

    def call(asked):
        return {name: {each: hops_of.get((name, each), ()) for each in asked.nodes[name]} for name in asked.nodes}

    return paths_of(plan, plan.links, as_routed(plan, call))


def test_a_path_is_the_one_that_routers_have_found(plan):
    a, b = address(plan, "a", "a-r1"), address(plan, "b", "r2-b")
    there, back = paths(
        plan,
        {
            ("r1", b): (address(plan, "r3", "r3-r1"),),
            ("r3", b): (address(plan, "r2", "r2-r3"),),
            ("r2", a): (address(plan, "r1", "r1-r2"),),
        },
    )
    assert (there.nodes, there.link.impairments.delay_ns) == (("r1", "r3", "r2"), 12_000_000)
    assert (back.nodes, back.link.impairments.delay_ns) == (("r2", "r1"), 7_000_000)
    assert there.skipped is back.skipped is None


@pytest.mark.parametrize("spread", [False, True], ids=["none", "several"])
def test_a_path_without_a_single_route_is_not_measured_and_says_why(plan, spread):
    a, b = address(plan, "a", "a-r1"), address(plan, "b", "r2-b")
    both = (address(plan, "r2", "r1-r2"), address(plan, "r3", "r3-r1"))
    there, back = paths(plan, {("r1", b): both if spread else (), ("r2", a): (address(plan, "r1", "r1-r2"),)})
    for path, nodes in ((there, ("r1", "r2")), (back, ("r2", "r1"))):
        assert path.nodes == nodes
        assert f"the routing daemons of {', '.join(nodes)} have no route" in str(path.skipped)


def test_over_ipv6_the_next_hops_are_link_local_addresses():
    plan = resolve(loads(RING + "ip: 6\n", "x.yml"))

    def link_local(node, network):
        mac = bytes.fromhex(plan.node(node).on(network).mac.replace(":", ""))
        return str(IPv6Address(f"fe80::{mac[0] ^ 2:02x}{mac[1]:02x}:{mac[2]:02x}ff:fe{mac[3]:02x}:{mac[4:].hex()}"))

    a, b = plan.node("a").on("a-r1").address6, plan.node("b").on("r2-b").address6
    hops = {("r1", b): "r3", ("r3", b): "r2", ("r2", a): "r1"}
    networks = {("r1", "r3"): "r3-r1", ("r3", "r2"): "r2-r3", ("r2", "r1"): "r1-r2"}
    there, back = paths(plan, {(node, to): (link_local(via, networks[node, via]),) for (node, to), via in hops.items()})
    assert (there.nodes, back.nodes) == (("r1", "r3", "r2"), ("r2", "r1"))


def test_routers_with_computed_routes_are_not_asked():
    plan = resolve(loads(RING.replace("{routing: none}", "true"), "x.yml"))

    def call(asked):
        pytest.fail(f"{asked} was asked")

    assert as_routed(plan, call) is plan
