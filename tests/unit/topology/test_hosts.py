"""Several machines in a file: where nodes are, and what is refused, at its place."""

import pytest

from testbed.errors import UsageError
from testbed.plan import Plan, resolve
from testbed.topology import TopologyError, loads

HOSTS = "name: x\nhosts: {east: 'ssh://e', west: 'unix:///w.sock', third: context}\n"
NODES = "nodes: {a: , b: }\n"


def planned(text):
    return resolve(loads(text, "x.yml"))


def problems(text):
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    return [(each.line, each.column, each.code) for each in caught.value.problems]


def test_nodes_without_a_host_are_spread():
    plan = planned(HOSTS + "nodes: {a: {host: west}, b: {host: west}, c: , d: {count: 4}, e: {host: east}}\n")
    places = [node.host for node in plan.nodes]
    assert places == ["west", "west", "third", "east", "third", "east", "west", "east"]
    assert (plan.hosts[0].name, plan.hosts[0].address) == ("east", "ssh://e")
    assert plan.runtime == "swarm"


def test_members_of_a_group_are_where_the_group_is():
    plan = planned(HOSTS + "nodes: {a: {count: 3, host: west}}\n")
    assert [node.host for node in plan.nodes] == ["west"] * 3


def test_machines_are_not_part_of_the_digest_and_come_back_from_the_stored_plan():
    spread, single = (
        planned(HOSTS + NODES + "networks: {lan: {mtu: 1450}}"),
        planned("name: x\n" + NODES + "networks: {lan: {mtu: 1450}}"),
    )
    assert spread.digest == single.digest
    assert Plan.from_json(spread.to_json()).hosts == spread.hosts
    assert "hosts" not in single.to_json()
    assert not any("host" in node for node in single.to_json()["nodes"])


@pytest.mark.parametrize(
    ("given", "mtu"), [("", 1450), ("networks: {lan: {mtu: 8950}}", 8950), ("networks: {lan: }", 1450)]
)
def test_packets_leave_room_for_vxlan_unless_the_file_says_otherwise(given, mtu):
    assert planned(HOSTS + NODES + given).networks[0].mtu == mtu


@pytest.mark.parametrize(("given", "mtu"), [("", 1450), (", mtu: 9000", 9000), (", mtu: 1500", 1500)])
def test_the_same_holds_for_wires(given, mtu):
    plan = planned(HOSTS + NODES + f"ip: both\nlinks: [{{wire: [a, b]{given}}}]")
    assert [(network.name, network.mtu) for network in plan.networks] == [("a-b", mtu)]


def test_another_runtime_is_refused():
    with pytest.raises(UsageError, match=r"contradiction.*--runtime is netns"):
        resolve(loads(HOSTS + NODES, "x.yml"), runtime="netns")
    assert resolve(loads(HOSTS + NODES, "x.yml"), runtime="docker").runtime == "swarm"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\nnodes: {a: {host: east}}", [(2, 19, "unknown-host")]),
        (HOSTS + "nodes: {a: {host: est}}", [(3, 19, "unknown-host")]),
        (HOSTS + NODES + "runtime: netns", [(4, 10, "contradiction")]),
        (HOSTS + NODES + "ip: 6", [(4, 5, "not-over-machines")]),
        (HOSTS + NODES + "networks: {lan: {ip: 6}}", [(4, 22, "not-over-machines")]),
        (HOSTS + NODES + "networks: {lan: {internal: false}}", [(4, 28, "not-over-machines")]),
        (
            HOSTS + NODES + "links: [{from: a, delay: 1ms}, {to: b, loss: 1%}]",
            [(4, 9, "not-over-machines"), (4, 32, "not-over-machines")],
        ),
        (HOSTS + "nodes: {a: {volumes: ['.:/x']}}", [(3, 22, "not-over-machines")]),
        (HOSTS.replace("context", "'ftp://x'") + NODES, [(2, 57, "bad-value")]),
        (HOSTS.replace("{east", "{}\n#") + NODES, [(2, 8, "wrong-length")]),
    ],
)
def test_what_machines_can_not_have_is_refused_at_its_place(text, expected):
    assert problems(text) == expected
