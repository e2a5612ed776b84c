"""IPv6 beside IPv4 in plans: addresses, routes, digests, relocation, and what a file can't say."""

import pytest

from testbed.families import POOL6
from testbed.plan import Plan, relocate, resolve
from testbed.plan.forwarding import forwarding
from testbed.topology import TopologyError, loads

BOTH = """
name: x
ip: both
networks: {home: {}, far: {ip: 6}}
nodes:
  client: {networks: [home]}
  r1: {networks: [home], router: {nat: {inside: [home]}}}
  r2: {networks: [far], router: true}
  server: {networks: {far: {address: "2001:2:0:1::9"}}}
links:
  - {wire: [r1, r2], delay: 1ms}
workloads:
  - {name: there, kind: udp-stream, from: client, to: server, rate: 1mbit, duration: 1s}
"""


@pytest.fixture
def plan():
    return resolve(loads(BOTH, "x.yml"))


def test_each_network_has_subnets_of_its_families(plan):
    home, far, wire = plan.networks
    assert {network.name: tuple(network.subnets) for network in plan.networks} == {
        "home": (4, 6),
        "far": (6,),
        "r1-r2": (4, 6),
    }
    assert home.subnets[6].subnet_of(POOL6)
    assert home.subnets[6].prefixlen == 64
    assert wire.subnets[6].prefixlen == 127
    assert (far.subnet, far.subnet6, far.allocated6) == ("", "2001:2:0:1::/64", False)


def test_nodes_have_addresses_of_both_families_and_macs_by_one_of_them(plan):
    both, six = plan.node("client").on("home"), plan.node("server").on("far")
    assert both.mac.startswith("02:42:")
    assert both.addresses == (both.address, both.address6)
    assert six.addresses == ("2001:2:0:1::9",)
    macs = [at.mac for node in plan.nodes for at in node.interfaces]
    assert len({*macs}) == len(macs)


def test_routes_are_of_a_family_and_nat_hides_nothing_from_ipv6(plan):
    client = {route.family: route.to for route in plan.node("client").routes}
    assert client[6] == (str(POOL6),)
    six, four = forwarding(plan, 6), forwarding(plan, 4)
    assert six.address("server", "client") == plan.node("client").on("home").address6
    assert four.address("server", "client") is None
    assert four.address("r2", "client") is None
    assert plan.node("r1").sysctls["net.ipv6.conf.all.forwarding"] == "1"


def test_a_workload_takes_the_family_that_leads_to_its_destination(plan):
    [workload] = plan.workloads
    assert (workload.family, workload.address) == (6, "2001:2:0:1::9")


def test_a_plan_is_read_again_as_it_was_written(plan):
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_moves_to_other_subnets_with_the_same_digest(plan):
    taken = [subnet for network in plan.networks if network.allocated6 for subnet in network.subnets.values()]
    moved = relocate(plan, taken)
    assert moved.digest == plan.digest
    before, after = (each.node("client").on("home") for each in (plan, moved))
    assert after.address6 != before.address6
    assert after.address6.rpartition("::")[2] == before.address6.rpartition("::")[2]


def test_a_plan_of_ipv4_alone_stores_nothing_about_families():
    text = "name: x\nnodes: {a: , b: }\n"
    four, said = resolve(loads(text, "x.yml")), resolve(loads(text + "ip: 4\n", "x.yml"))
    assert "6" not in "".join(four.to_json()["networks"][0]) + "".join(four.to_json()["nodes"][0]["interfaces"][0])
    assert four.digest == said.digest
    assert four.digest != resolve(loads(text + "ip: both\n", "x.yml")).digest


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("far: {ip: 6}", "far: {ip: 4}", "no-family"),
        ("far: {ip: 6}", "far: {ip: 5}", "bad-value"),
        ("far: {ip: 6}", "far: {ip: 6, mtu: 1279}", "mtu-too-small"),
        ("far: {ip: 6}", "far: {ip: 6, internal: false}", "no-family"),
        ("far: {ip: 6}", 'far: {ip: 6, subnet: ["2001:2:0:1::/64", "2001:2:0:2::/64"]}', "bad-value"),
        ("home: {}", 'home: {subnet: "2001:2::/48"}', "subnet-overlap"),
        ("inside: [home]", "inside: [far]", "unknown-network"),
        ("home: {}", "home: {ip: 6}", "nat-without-ipv4"),
        ("to: server,", "to: server, family: 4,", "no-family"),
        ("to: server,", "to: server, family: 5,", "bad-value"),
        ('"2001:2:0:1::9"', '"fe80::9"', "bad-value"),
    ],
)
def test_what_can_not_be_is_refused_at_its_line(before, after, code):
    text = BOTH.replace(before, after)
    assert text != BOTH
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    found = {problem.code: problem for problem in caught.value.problems}
    assert code in found, caught.value
    assert after.split(",")[0].split(":")[0] in text.splitlines()[found[code].line - 1]
