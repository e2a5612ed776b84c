"""Containers that run already, as nodes of a file: names, networks, and what is wrong with its place."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from testbed.plan import resolve
from testbed.present import PresentAttachment, PresentContainer, PresentNetwork, as_name
from testbed.topology import Present, TopologyError, discovered, loads


def network(name, subnet, **keys):
    gateway = subnet.replace(".0/24", ".1")
    return PresentNetwork(name=name, subnet=subnet, gateway=gateway, mtu=1500, internal=False, **keys)


NETWORKS = [
    network(
        "shop_default", "198.18.7.0/24", project="shop", word="default", used=frozenset({IPv4Address("198.18.7.2")})
    ),
    network("shop_back", "198.18.8.0/24", project="shop", word="back"),
    network("bridge", "198.18.9.0/24"),
]


def container(name, *addresses, service="", number=1, **keys):
    project = "shop" if service else ""
    attachments = [
        PresentAttachment(
            network=next(each.name for each in NETWORKS if address.rpartition(".")[0] in each.subnet),
            address=IPv4Address(address),
            mac=f"02:00:00:00:{int(address.split('.')[2]):02x}:{int(address.split('.')[3]):02x}",
        )
        for address in addresses
    ]
    return PresentContainer(
        name=name,
        project=project,
        service=service,
        number=number if project else 0,
        attachments=tuple(attachments),
        **{"namespace": name, **keys},
    )


CONTAINERS = [
    container("shop_web_1", "198.18.7.2", service="web"),
    container("shop_web_2", "198.18.7.3", service="web", number=2),
    container("shop_db_1", "198.18.7.4", "198.18.8.4", service="db"),
    container("shop_cache_1", "198.18.7.5", "198.18.8.5", service="order_cache"),
    container("shop_side_1", "198.18.7.4", "198.18.8.4", service="side", namespace="shop_db_1"),
    container("shop_job_1", service="job", problem="does not run: it is exited"),
    container("plain", "198.18.9.2"),
    container("other", "198.18.9.3"),
    container("hosty", problem="has the machine's own network"),
]
PRESENT = Present(containers={each.name: each for each in CONTAINERS}, networks={each.name: each for each in NETWORKS})


def planned(text, present=PRESENT):
    return resolve(discovered(loads(f"name: x\n{text}", "x.yml"), present))


def problems(text, present=PRESENT):
    """Line, column, code and message of everything that is wrong with a file."""
    with pytest.raises(TopologyError) as error:
        planned(text, present)
    return [(problem.line, problem.column, problem.code, problem.message) for problem in error.value.problems]


def test_services_are_nodes_with_their_addresses_and_the_networks_of_the_compose_file():
    plan = planned("compose: {project: shop}\nlinks: [{between: [db, order-cache], network: back, delay: 40ms}]")
    assert [node.name for node in plan.nodes] == ["db", "order-cache", "web-1", "web-2"]
    db = plan.node("db")
    assert db.container == "shop_db_1"
    assert [(each.network, each.address, each.prefix_length, each.mac) for each in db.interfaces] == [
        ("default", "198.18.7.4", 24, "02:00:00:00:07:04"),
        ("back", "198.18.8.4", 24, "02:00:00:00:08:04"),
    ]
    assert {each.name: (each.present, each.subnet, each.allocated) for each in plan.networks} == {
        "default": ("shop_default", "198.18.7.0/24", False),
        "back": ("shop_back", "198.18.8.0/24", False),
    }
    assert db.sysctls == {}
    assert [link.name for link in plan.links] == ["db -> order-cache", "order-cache -> db"]


@pytest.mark.parametrize(
    ("link", "names"),
    [
        ("between: [web, db]", ["web-1 -> db", "web-2 -> db", "db -> web-1", "db -> web-2"]),
        ("between: [web, web], network: default", ["web-1 -> web-2", "web-2 -> web-1"]),
        ("from: web, to: db", ["web-1 -> db", "web-2 -> db"]),
        ("from: db, to: web-2", ["db -> web-2"]),
        ("between: [web-1, web-2]", ["web-1 -> web-2", "web-2 -> web-1"]),
        ("from: side, to: web", ["db -> web-1", "db -> web-2"]),
    ],
)
def test_a_service_of_several_containers_means_each_of_them(link, names):
    plan = planned(f"compose: {{project: shop}}\nlinks: [{{{link}, delay: 1ms}}]")
    assert [each.name for each in plan.links] == names


def test_events_workloads_and_what_is_observed_name_services_too():
    plan = planned(
        """
compose: {project: shop}
workloads:
  - {name: ping, kind: ping, from: web-1, to: side, network: default}
  - {name: load, kind: tcp-rr, from: web, to: side, network: default, count: 1}
timeline:
  - {at: 1ms, link: {between: [web, side], network: default}, delay: 5ms}
  - {at: 2ms, partition: [[web], [db]]}
  - {at: 3ms, heal: {between: [web, db], network: default}}
capture: {nodes: [web, side]}
sockets: [side, db]
"""
    )
    assert [(each.name, each.source, each.destination) for each in plan.workloads] == [
        ("ping", "web-1", "db"),
        ("load-web-1", "web-1", "db"),
        ("load-web-2", "web-2", "db"),
    ]
    assert [len(event.changes) for event in plan.timeline] == [4, 4, 4]
    assert plan.capture.nodes == ("web-1", "web-2", "db")
    assert plan.sockets == ("db",)


def test_containers_are_nodes_beside_those_of_the_lab():
    plan = planned(
        """
networks: {docker: {present: bridge}, lan: }
nodes:
  a: {container: plain}
  b: {networks: [docker, lan]}
  c: {networks: [lan]}
links: [{between: [a, b], delay: 1ms}, {between: [b, c], delay: 1ms}]
"""
    )
    assert [(node.name, node.container) for node in plan.nodes] == [("b", ""), ("c", ""), ("a", "plain")]
    assert [each.network for each in plan.node("a").interfaces] == ["docker"]
    assert {each.name: each.present for each in plan.networks} == {"lan": "", "docker": "bridge"}


def test_addresses_that_containers_were_given_decide_nothing():
    text = "compose: {project: shop}\nlinks: [{between: [db, order-cache], network: back, delay: 40ms}]"
    moved = container("shop_db_1", "198.18.7.99", "198.18.8.98", service="db")
    elsewhere = replace(PRESENT, containers={**PRESENT.containers, "shop_db_1": moved})
    assert planned(text).digest == planned(text, elsewhere).digest
    assert planned(text).digest != planned(text.replace("40ms", "41ms")).digest


def test_what_is_not_there_or_can_not_be_attached_is_said_at_its_place():
    nodes = "nodes:\n  a: {container: plan}\n  b: {container: hosty}\n  c: {container: shop_job_1}\n"
    text = f"{nodes}networks: {{x: {{present: brige}}}}"
    assert problems(text) == [
        (3, 18, "unknown-container", 'nodes.a.container is "plan", and there is no such container'),
        (4, 18, "not-attachable", 'nodes.b.container is "hosty", which has the machine\'s own network'),
        (5, 18, "not-attachable", 'nodes.c.container is "shop_job_1", which does not run: it is exited'),
        (6, 25, "unknown-network", 'networks.x.present is "brige", and there is no such bridge network'),
    ]
    assert problems("compose: {project: shup}") == [
        (2, 20, "unknown-project", 'compose.project is "shup", and no such project is up')
    ]


@pytest.mark.parametrize(
    ("link", "found"),
    [
        (
            "between: [db, job]",
            (3, 24, "not-attachable", 'links[0].between[1] names "job": container shop_job_1 does not run'),
        ),
        ("between: [db, side]", (3, 9, "same-namespace", 'links[0] connects "db" and "side", which share one network')),
        ("between: [db, dbb]", (3, 24, "unknown-node", 'links[0].between[1] names "dbb", which is not a node')),
        ("between: [db, order-cache]", (3, 9, "missing-key", 'links[0] lacks "network", and the nodes share several')),
        (
            "between: [db, plain]",
            (3, 9, "no-shared-network", 'links[0] connects "db" and "plain", which share no network'),
        ),
    ],
)
def test_links_that_can_not_be_are_said_at_their_place(link, found):
    text = f"compose: {{project: shop}}\nlinks: [{{{link}, delay: 1ms}}]\nnodes: {{plain: {{container: plain}}}}"
    ((line, column, code, message),) = problems(text)
    assert (line, column, code) == found[:3]
    assert message.startswith(found[3])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nodes: {a: {container: plain, image: x}}", "nodes.a.image"),
        ("nodes: {a: {container: plain, networks: [lan]}}", "nodes.a.networks"),
        ("nodes: {a: {container: plain, cpus: 1}}", "nodes.a.cpus"),
        ("nodes: {a: }\nnetworks: {lan: {present: bridge, mtu: 1400}}", "networks.lan.mtu"),
    ],
)
def test_what_runs_is_taken_as_it_is(text, where):
    with pytest.raises(TopologyError) as error:
        loads(f"name: x\n{text}", "x.yml")  # nothing need be discovered for that
    (problem,) = error.value.problems
    assert problem.code == "contradiction"
    assert problem.message.startswith(f"{where} can't be given beside")


def test_the_docker_engine_chooses_addresses_on_networks_of_others():
    text = "networks: {docker: {present: bridge}}\nnodes: {a: {networks: {docker: {address: 198.18.9.7}}}}"
    ((line, _, code, message),) = problems(text)
    assert (line, code) == (3, "contradiction")
    assert message.startswith("nodes.a.networks.docker.address is 198.18.9.7, and docker was there before: ")


def test_one_container_has_one_name():
    text = "compose: {project: shop}\nnodes: {db: {container: plain}}"
    assert problems(text) == [(3, 13, "duplicate-name", "nodes.db is also container shop_db_1 of shop")]


def test_a_service_of_several_containers_has_its_name_alone():
    text = "compose: {project: shop}\nnodes: {web: {container: plain}}"
    said = "nodes.web is also the name of the 2 containers of service web"
    assert problems(text) == [(3, 14, "duplicate-name", said)]


def test_a_link_that_names_a_container_counts_more_than_one_that_names_its_service():
    text = "compose: {project: shop}\nlinks: [{from: web-2, to: db, delay: 5ms}, {from: web, to: db, delay: 1ms}]"
    assert {link.name: link.impairments.delay_ns for link in planned(text).links} == {
        "web-1 -> db": 1_000_000,
        "web-2 -> db": 5_000_000,
    }


def test_without_discovery_there_is_no_plan():
    topology = loads("name: x\ncompose: {project: shop}", "x.yml")
    assert topology.lacks_discovery
    assert not discovered(topology, PRESENT).lacks_discovery
    with pytest.raises(ValueError, match="discovered first"):
        resolve(topology)


@pytest.mark.parametrize(
    ("found", "name"),
    [("shop_web_1", "shop-web-1"), ("Order.Queue", "order-queue"), ("-x-", "x"), ("a" * 40, "a" * 32)],
)
def test_names_become_host_names(found, name):
    assert as_name(found) == name


def test_attached_networks_have_no_uplinks():
    text = "nodes: {a: {container: plain}, b: {container: other}}\nlinks: [{from: a, delay: 1ms}]\n"
    assert [problem[2] for problem in problems(text)] == ["open-network"]


def test_a_node_on_a_network_that_is_there_already_has_the_mac_that_its_engine_chooses():
    text = 'networks: {back: {present: shop_back}}\nnodes: {a: {networks: {back: {mac: "52:54:00:12:34:56"}}}, b: }'
    assert [code for *_, code, _ in problems(text)] == ["mac-of-present-network"]
