"""Several machines in a file: where nodes are, and what is refused, at its place."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.errors import UsageError
from testbed.plan import Plan, resolve
from testbed.present import PresentAttachment, PresentContainer, PresentNetwork
from testbed.topology import Present, TopologyError, discovered, loads

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
        (HOSTS + NODES + "networks: {lan: {internal: false}}", [(4, 28, "not-over-machines")]),
        (
            HOSTS + NODES + "links: [{between: [a, host], delay: 1ms}]",
            [(4, 9, "internal-network"), (4, 9, "not-over-machines")],
        ),
        (HOSTS + "nodes: {a: {volumes: ['.:/x:ro', '.:/y']}}", [(3, 34, "not-over-machines")]),
        (HOSTS.replace("context", "'ftp://x'") + NODES, [(2, 57, "bad-value")]),
        (HOSTS.replace("{east", "{}\n#") + NODES, [(2, 8, "wrong-length")]),
    ],
)
def test_what_machines_can_not_have_is_refused_at_its_place(text, expected):
    assert problems(text) == expected


def container(host, name, address, **keys):
    attachment = PresentAttachment(network="shop", address=IPv4Address(address), mac=f"02:00:00:00:00:0{address[-1]}")
    return PresentContainer(name=name, host=host, attachments=(attachment,), **{"namespace": name, **keys})


RUNNING = [
    container("east", "web", "198.18.7.2"),
    container("east", "side", "198.18.7.2", namespace="web"),
    container("west", "web", "198.18.7.3"),
    container("west", "db", "198.18.7.4", project="shop", service="db", number=1),
]
SHOP = PresentNetwork(name="shop", subnet="198.18.7.0/24", gateway="198.18.7.1", mtu=1450, internal=False)
PRESENT = Present(containers={f"{each.host}/{each.name}": each for each in RUNNING}, networks={"shop": SHOP})


def found(text, present=PRESENT):
    return resolve(discovered(loads(HOSTS + text, "x.yml"), present))


def test_containers_that_run_already_are_known_by_machine_and_name():
    plan = found(
        "nodes: {a: {host: east, container: web}, b: {host: west, container: web}, db: {container: db}}\n"
        "links: [{between: [a, b], delay: 1ms}, {from: db, to: a, loss: 1%}]"
    )
    assert {node.name: (node.host, node.container, node.interfaces[0].mac) for node in plan.nodes} == {
        "a": ("east", "web", "02:00:00:00:00:02"),
        "b": ("west", "web", "02:00:00:00:00:03"),
        "db": ("west", "db", "02:00:00:00:00:04"),
    }
    assert [(each.name, each.present, each.mtu, each.subnet) for each in plan.networks] == [
        ("shop", "shop", 1450, "198.18.7.0/24")
    ]
    assert [link.name for link in plan.links] == ["a -> b", "b -> a", "db -> a"]


def test_only_containers_of_one_machine_share_a_namespace():
    nodes = "nodes: {a: {host: east, container: web}, s: {container: side}, b: {host: west, container: web}}\n"
    plan = found(nodes + "links: [{from: b, to: s, delay: 1ms}]")
    assert [node.name for node in plan.nodes] == ["a", "b"]
    assert [link.name for link in plan.links] == ["b -> a"]


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("nodes: {a: {container: web}}", 3, 24, "web runs on east and west: say so by host: east"),
        ("nodes: {a: {host: west, container: side}}", 3, 36, "side runs on east: say so by host: east"),
        ("nodes: {b: {container: db}, c: {networks: {n: }}}\nnetworks: {n: {present: shop}}", 3, 29, "to join"),
        ("compose: {project: shop}", 3, 1, "is a project on one machine"),
    ],
)
def test_what_can_not_be_taken_over_is_refused_at_its_place(text, line, column, said):
    with pytest.raises(TopologyError) as caught:
        found(text)
    (problem,) = caught.value.problems
    said_there = said in f"{problem.message} {problem.hint}"
    assert (problem.line, problem.column, said_there) == (line, column, True), problem


def test_a_container_without_a_problem_is_needed():
    broken = replace(RUNNING[0], problem="is on no attachable overlay network")
    with pytest.raises(TopologyError, match=r"not-attachable.*which is on no attachable overlay network"):
        found("nodes: {a: {host: east, container: web}}", replace(PRESENT, containers={"east/web": broken}))
