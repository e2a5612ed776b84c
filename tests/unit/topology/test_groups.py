"""Groups of nodes: what their names stand for, and what is wrong with them."""

from ipaddress import IPv4Address

import pytest

from testbed.errors import UsageError
from testbed.plan import resolve
from testbed.topology import TopologyError, loads

HEAD = "name: x\nnodes: {client: {count: 3}, server: , peer: {count: 2}}\n"
PING = f"{HEAD}workloads: [{{name: w, kind: ping, from: client, to: server}}]\n"
TAKEN = (
    f"{HEAD}workloads:\n"
    "  - {name: a-client-1, kind: ping, from: client-1, to: server}\n"
    "  - {name: a, kind: ping, from: client, to: server}"
)
DNS = "{from: client, to: server, match: {port: 53}"
SMALL = "name: x\nnetworks: {w: {subnet: 198.18.7.0/29}}\nnodes: {a: {count: 5, networks: {w: {address: 198.18.7.5}}}}"
MS = 1_000_000


def planned(lines, head=HEAD):
    return resolve(loads(head + lines, "file.yml"))


def delays(plan):
    return {(link.source, link.destination): link.impairments.delay_ns // MS for link in plan.links}


def fault(text):
    with pytest.raises(TopologyError) as raised:
        loads(text, "file.yml")
    [problem] = raised.value.problems
    return problem


def test_a_group_is_nodes_alike():
    plan = planned("", "name: x\nnodes: {client: {count: 3, sysctls: {net.ipv4.tcp_ecn: 1}}, server: }\n")
    assert [node.name for node in plan.nodes] == ["client-1", "client-2", "client-3", "server"]
    assert [node.sysctls.get("net.ipv4.tcp_ecn") for node in plan.nodes] == ["1", "1", "1", None]
    [group] = plan.groups
    assert (group.name, group.nodes) == ("client", ("client-1", "client-2", "client-3"))


def test_a_group_is_the_same_plan_as_its_members_one_by_one():
    written = "name: x\nnodes: {client-1: , client-2: , server: }\nlinks:\n"
    one_by_one = written + "".join(
        f"  - {{from: {source}, to: {destination}, delay: 5ms}}\n"
        for source, destination in (
            ("client-1", "server"),
            ("client-2", "server"),
            ("server", "client-1"),
            ("server", "client-2"),
        )
    )
    grouped = "name: x\nnodes: {client: {count: 2}, server: }\nlinks: [{between: [client, server], delay: 5ms}]\n"
    assert resolve(loads(grouped, "a")).digest == resolve(loads(one_by_one, "b")).digest


def test_addresses_count_up():
    text = "name: x\nnetworks: {wan: }\nnodes: {a: {count: 3, networks: {wan: {address: 198.18.7.20}}}}\n"
    addresses = [IPv4Address(node.interfaces[0].address) for node in resolve(loads(text, "f")).nodes]
    assert addresses == [IPv4Address("198.18.7.20") + index for index in range(3)]


def test_links_of_groups_are_those_of_their_members():
    found = delays(planned("links: [{between: [client, peer], delay: 4ms}, {between: [peer, peer], delay: 1ms}]\n"))
    assert found == {
        **{(f"client-{a}", f"peer-{b}"): 4 for a in (1, 2, 3) for b in (1, 2)},
        **{(f"peer-{b}", f"client-{a}"): 4 for a in (1, 2, 3) for b in (1, 2)},
        ("peer-1", "peer-2"): 1,
        ("peer-2", "peer-1"): 1,
    }


@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_name_of_a_node_counts_more_than_that_of_its_group(is_reversed):
    entries = [
        "{from: client, to: server, delay: 1ms}",
        "{between: [client-2, server], delay: 2ms}",
        "{from: client-3, to: server, delay: 3ms}",
    ]
    links = ", ".join(reversed(entries) if is_reversed else entries)
    found = delays(planned(f"links: [{links}]\n"))
    assert found == {
        ("client-1", "server"): 1,
        ("client-2", "server"): 2,
        ("server", "client-2"): 2,
        ("client-3", "server"): 3,
    }


def test_each_member_runs_a_workload_of_its_own():
    plan = planned(
        "workloads:\n"
        "  - {name: get, kind: tcp-rr, from: client, to: server, count: 5}\n"
        "  - {name: chat, kind: udp-rr, from: peer, to: peer, count: 5}\n"
        "  - {name: look, kind: command, in: peer, command: [hostname]}\n"
        "  - {name: alone, kind: tcp-rr, from: client-1, to: server}\n"
    )
    names = [[workload.name for workload in stage] for stage in plan.stages]
    assert names == [
        ["get-client-1", "get-client-2", "get-client-3"],
        ["chat-peer-1-peer-2", "chat-peer-2-peer-1"],
        ["look-peer-1", "look-peer-2"],
        ["alone"],
    ]
    assert [workload.group for workload in plan.workloads] == [*["get"] * 3, *["chat"] * 2, *["look"] * 2, ""]
    assert len({workload.port for workload in plan.workloads}) == len(plan.workloads)
    assert len({workload.seed for workload in plan.workloads}) == len(plan.workloads)


def test_events_captures_and_sockets_of_a_group_are_those_of_its_members():
    plan = planned(
        "links: [{between: [client, server], delay: 5ms}, {from: client-2, to: server, delay: 9ms}]\n"
        "workloads: [{name: get, kind: tcp-stream, from: server, to: client, duration: 9s}]\n"
        "timeline:\n"
        "  - {at: 1s, link: {from: client, to: server}, loss: 5%}\n"
        "  - {at: 2s, partition: [[client], [server, peer-1]]}\n"
        "  - {at: 3s, heal: {between: [client, server]}}\n"
        "capture: [peer]\n"
        "sockets: [client, client-1]\n"
    )
    loss, partition, heal = plan.timeline
    assert [(change.source, change.impairments.delay_ns // MS) for change in loss.changes] == [
        ("client-1", 5),
        ("client-2", 9),
        ("client-3", 5),
    ]
    assert loss.what == "client -> server: loss 5 %"
    assert len(partition.changes) == 2 * 3 * 2
    assert len(heal.changes) == 2 * 3
    assert plan.capture.nodes == ("peer-1", "peer-2")
    assert plan.sockets == ("client-1", "client-2", "client-3")


def test_a_plan_knows_its_groups():
    plan = planned("")
    assert plan.members("client", "server") == ("client-1", "client-2", "client-3", "server")
    with pytest.raises(UsageError, match="no node 'clent'"):
        plan.members("clent")


@pytest.mark.parametrize(
    ("text", "place", "code", "words"),
    [
        ("name: x\nnodes: {a: {count: 0}}", (2, 20), "out-of-range", ["nodes.a.count is 0", "at least 1"]),
        ("name: x\nnodes: {a: {count: 1001}}", (2, 20), "out-of-range", ["at most 1000"]),
        ("name: x\nnodes: {a: {count: 1.5}}", (2, 20), "wrong-type", ["is 1.5", "whole number"]),
        ("name: x\nnodes: {a: {count: many}}", (2, 20), "wrong-type", ['is "many"', "whole number"]),
        (
            "name: x\nnodes:\n  a: {count: 2}\n  a-2:\n",
            (3, 14),
            "duplicate-name",
            ['makes "a-1" to "a-2"', '"a-2" is there at line 4', "rename"],
        ),
        (
            f"name: x\nnodes: {{{'a' * 31}: {{count: 2}}}}",
            (2, 50),
            "name-too-long",
            ["at most 32 characters", "shorter name"],
        ),
        (
            "name: x\nnetworks: {w: {subnet: 198.18.7.0/29}}\nnodes: {a: {count: 9, networks: [w]}}",
            (2, 15),
            "subnet-full",
            ["has 9 nodes", "room for 5"],
        ),
        (
            SMALL,
            (3, 47),
            "address-taken",
            ["gives a-3 198.18.7.7", "broadcast"],
        ),
        (f"{HEAD}links: [{{between: [cleint, server]}}]", (3, 20), "unknown-node", ['did you mean "client"?']),
        (f"{HEAD}links: [{{between: [client-4, server]}}]", (3, 20), "unknown-node", ['"client-4"']),
        (
            "name: x\nnodes: {a: {count: 1}}\nlinks: [{between: [a-1, a]}]",
            (3, 9),
            "same-node",
            ['from "a-1" to itself'],
        ),
        (f"{HEAD}links: [{{between: [server, server]}}]", (3, 9), "same-node", ["to itself"]),
        (
            f"{HEAD}links:\n  - {{between: [client, peer]}}\n  - {{between: [peer, client], delay: 1ms}}",
            (5, 5),
            "duplicate-link",
            ["peer and client", "line 4"],
        ),
        (
            f"{HEAD}links:\n  - {{between: [client, peer-1]}}\n  - {{between: [peer, client-1], delay: 1ms}}",
            (5, 5),
            "duplicate-link",
            ["peer and client-1", "line 4"],
        ),
        (
            TAKEN,
            (5, 12),
            "duplicate-name",
            ['which makes "a-client-1"', "line 4"],
        ),
        (
            "name: x\nnodes: {a: {count: 40}}\nworkloads: [{name: w, kind: ping, from: a, to: a}]",
            (3, 13),
            "too-many-workloads",
            ["runs 1560 times", "there can be 1000", "smaller groups"],
        ),
        (
            "name: x\nnodes: {a: {count: 600}, b: {count: 600}}\nnetworks: {lan: }",
            (3, 16),
            "network-full",
            ["has 1200 nodes", "1023 ports", "several networks"],
        ),
        (
            f"{PING}expect: [w.loss <= 1%]",
            (4, 10),
            "missing-aggregate",
            ["all members", "loss.median"],
        ),
        (
            f"{PING}expect: [w-client-1.loss.max <= 1%]",
            (4, 21),
            "unknown-metric",
            ['"loss.max"'],
        ),
        (
            f"{HEAD}timeline: [{{at: 1s, partition: [[client], [client-1, server]]}}]",
            (3, 44),
            "duplicate-node",
            ['"client-1"'],
        ),
        (
            "name: x\nnodes: {a: {container: shop-a, count: 2}}",
            (2, 32),
            "contradiction",
            ["nodes.a.count can't be given beside container", "leave count out"],
        ),
        (
            f"{HEAD}links: [{{wire: [client, server], name: w}}]",
            (3, 17),
            "wire-to-group",
            ['"client", a group of nodes', "name a member: client-1"],
        ),
        (
            "name: x\nnodes: {r: {count: 2, router: true}, a: }\nlinks: [{wire: [r-1, a]}]",
            (2, 31),
            "router-with-one-network",
            ['"r-1" is on r-1-a only'],
        ),
        (
            f"{HEAD}links:\n  - {DNS}}}\n  - {DNS}, delay: 1ms}}",
            (5, 5),
            "duplicate-link",
            ["client and server on lan, port 53", "line 4"],
        ),
        (
            f"{HEAD}links:\n  - {{from: client-2, to: server, match: {{port: 50-60}}}}\n  - {DNS}, delay: 1ms}}",
            (5, 39),
            "unreachable-match",
            ["links[0] at line 4 takes all of that on client-2 -> server", "move it up"],
        ),
        (
            f"{PING}links: [{{from: peer-1, to: server, match: {{port: 53}}}}]\ntimeline: [{{at: 0s, heal: {DNS}}}}}]",
            (5, 61),
            "unknown-match",
            ["is port 53, which no line under links about client-1 -> server is for"],
        ),
    ],
)
def test_faults_are_errors_at_their_place(text, place, code, words):
    problem = fault(text)
    assert ((problem.line, problem.column), problem.code) == (place, code)
    for word in words:
        assert word in str(problem)


def shown(plan):
    return [(link.key.name, link.impairments.delay_ns // MS) for link in plan.links if link.destination == "server"]


def test_a_match_goes_to_each_member_and_a_members_line_counts_more():
    plan = planned(
        "links:\n"
        "  - {from: client-2, to: server, match: {protocol: udp}, delay: 7ms}\n"
        "  - {from: client, to: server, match: {protocol: udp}, delay: 5ms}\n"
        "  - {between: [client, server], delay: 1ms}\n"
    )
    assert sorted(shown(plan)) == [
        ("client-1 -> server", 1),
        ("client-1 -> server (udp)", 5),
        ("client-2 -> server", 1),
        ("client-2 -> server (udp)", 7),
        ("client-3 -> server", 1),
        ("client-3 -> server (udp)", 5),
    ]
    [later] = planned(
        "links: [{from: client, to: server, match: {protocol: udp}, delay: 5ms}]\n"
        "workloads: [{name: w, kind: ping, from: client-1, to: server, count: 300, interval: 100ms}]\n"
        "timeline: [{at: 1s, link: {from: client, to: server, match: {protocol: udp}}, delay: 9ms}]\n"
    ).timeline
    assert [change.key.name for change in later.changes] == [f"client-{number} -> server (udp)" for number in (1, 2, 3)]


def test_a_matrix_may_be_for_some_packets(tmp_path):
    (tmp_path / "m.csv").write_text(",client,server\nclient,2ms,5ms\nserver,6ms,\n")
    plan = resolve(
        loads(
            f"{HEAD}links: [{{between: [client, server], matrix: m.csv, match: {{dscp: EF}}}}, "
            "{between: [client, server], delay: 1ms}]\n",
            "file.yml",
            tmp_path,
        )
    )
    to_server = [each for each in shown(plan) if each[0].startswith("client-1")]
    assert to_server == [("client-1 -> server (dscp EF)", 5), ("client-1 -> server", 1)]
    assert sum(link.match is not None for link in plan.links) == 3 * 2 + 3 + 3


def test_members_may_have_wires_and_their_group_is_where_all_of_them_are():
    plan = planned(
        "links:\n"
        "  - {wire: [client-1, r], delay: 1ms}\n"
        "  - {wire: [r, server], delay: 4ms}\n"
        "  - {between: [client, r], delay: 7ms}\n"
        "workloads: [{name: w, kind: ping, from: client, to: server}]\n",
        "name: x\nnodes: {client: {count: 2, networks: [lan]}, r: {router: true, networks: [lan]}, server: }\n",
    )
    assert [at.network for at in plan.node("client-1").interfaces] == ["lan", "client-1-r"]
    assert [at.network for at in plan.node("client-2").interfaces] == ["lan"]
    assert [(link.key.name, link.network) for link in plan.links if link.source == "client-1"] == [
        ("client-1 -> r", "client-1-r"),
        ("client-1 -> r", "lan"),
    ]
    assert [(workload.source, workload.address) for workload in plan.workloads] == [
        ("client-1", plan.node("server").on("r-server").address),
        ("client-2", plan.node("server").on("r-server").address),
    ]


def test_a_cost_is_that_of_each_member_and_a_members_own_counts_more():
    routed = (
        "name: x\nnetworks: {near: , far: }\n"
        "nodes: {client: {count: 2, networks: [near]}, server: {networks: [far]},\n"
        "  r: {router: true, networks: [near, far]}, s: {router: true, networks: [near, far]}}\n"
    )
    plan = planned("links: [{from: client, to: r, cost: 5}, {from: client-2, to: r, cost: 1}]\n", routed)
    hops = {node.name: {route.via for route in node.routes} for node in plan.nodes}
    assert (hops["client-1"], hops["client-2"]) == ({"s"}, {"r"})
