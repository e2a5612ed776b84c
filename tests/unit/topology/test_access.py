"""Uplinks and downlinks in topology files: what they mean, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.check.probed_paths import as_probed
from testbed.errors import UsageError
from testbed.matching import ANY_NODE, LinkKey, Packets
from testbed.plan import resolve
from testbed.plan.changes import locate
from testbed.plan.forwarding import longest_ns
from testbed.topology import TopologyError, loads

HEAD = (
    "name: x\nnetworks: {one: , two: }\n"
    "nodes: {a: {networks: [one]}, b: {networks: [one]}, r: {networks: [one, two]}}\n"
)
MS = 1_000_000


def plan_of(links, more=""):
    return resolve(loads(f"{HEAD}links:\n{''.join(f'  - {link}{chr(10)}' for link in links)}{more}", "test.yml"))


def problems(link):
    with pytest.raises(TopologyError) as raised:
        plan_of([link])
    return [(problem.code, problem.line, problem.message) for problem in raised.value.problems]


def test_an_end_alone_is_an_uplink_or_downlink():
    plan = plan_of(["{from: a, rate: 5mbit}", "{to: a, delay: 1ms}", "{from: r, network: two, delay: 2ms}"])
    assert [link.key for link in plan.links] == [
        LinkKey("a", ANY_NODE, "one"),
        LinkKey(ANY_NODE, "a", "one"),
        LinkKey("r", ANY_NODE, "two"),
    ]
    assert [link.name for link in plan.links] == ["a uplink", "a downlink", "r uplink"]
    assert len({link.seed for link in plan.links}) == 3


def test_each_member_of_a_group_has_one_of_its_own():
    text = "name: x\nnodes: {client: {count: 2}, server: }\nlinks: [{from: client, rate: 1mbit}]\n"
    plan = resolve(loads(text, "test.yml"))
    assert [link.name for link in plan.links] == ["client-1 uplink", "client-2 uplink"]


def test_delays_of_uplink_pair_and_downlink_add_up():
    links = ["{from: a, delay: 5ms}", "{from: a, to: b, delay: 20ms}", "{to: b, delay: 7ms}", "{from: b, delay: 100ms}"]
    plan = plan_of(links)
    assert longest_ns(plan, "a", "b", Packets()) == 32 * MS
    assert longest_ns(plan, "b", "a", Packets()) == 100 * MS
    assert longest_ns(plan, "a", "r", Packets()) == 5 * MS


def test_events_change_and_heal_them():
    more = "workloads: [{name: w, kind: udp-stream, from: a, to: b, duration: 5s}]\ntimeline:\n"
    more += "  - {at: 1s, link: {from: a}, delay: 50ms}\n  - {at: 2s, heal: {from: a}}\n"
    plan = plan_of(["{from: a, delay: 5ms}"], more)
    assert [event.what for event in plan.timeline] == ["a uplink: delay 50 ms", "heal a uplink"]
    assert [event.changes[0].impairments.delay_ns for event in plan.timeline] == [50 * MS, 5 * MS]


@pytest.mark.parametrize(
    ("link", "code", "words"),
    [
        ("{from: a}", "missing-key", 'lacks "to"; without it, it is the a uplink'),
        ("{to: a}", "missing-key", 'lacks "from"'),
        ("{from: x, delay: 1ms}", "unknown-node", 'names "x"'),
        ("{from: r, delay: 1ms}", "missing-key", "r is on several"),
        ("{from: a, network: two, delay: 1ms}", "unknown-network", 'is "two"'),
        ("{from: a, delay: 1ms, cost: 3}", "conflicting-keys", "routes lead over links between two nodes"),
        ("{from: a, queue: 100ms}", "queue-without-rate", "no rate beside it"),
    ],
)
def test_a_fault_is_one_error_at_its_place(link, code, words):
    found = problems(link)
    assert [(each[0], each[1]) for each in found] == [(code, 5)], found
    assert words in found[0][2]


def test_a_second_uplink_of_a_node_is_an_error():
    with pytest.raises(TopologyError) as raised:
        plan_of(["{from: a, delay: 1ms}", "{from: a, delay: 2ms}"])
    assert [problem.code for problem in raised.value.problems] == ["duplicate-link"]


def test_an_uplink_is_found_by_its_only_end():
    plan = plan_of(["{from: a, delay: 1ms}"])
    assert locate(plan, "a", ANY_NODE).impairments.delay_ns == MS
    assert locate(plan, ANY_NODE, "a").impairments.is_clear
    with pytest.raises(UsageError, match="is on one and two"):
        locate(plan, "r", ANY_NODE)


def test_an_uplink_is_probed_where_the_least_else_lies_on_the_way():
    plan = plan_of(["{from: a, delay: 5ms}", "{between: [a, b], delay: 20ms}", "{to: r, network: two, delay: 1ms}"])
    probed: list[Any] = [*as_probed(plan, plan.links)]
    uplink, there, back, alone = probed
    assert (uplink.link.destination, uplink.beside) == ("r", ())
    assert (there.link.impairments.delay_ns, there.beside) == (25 * MS, ("a uplink",))
    assert back.key == LinkKey("b", "a", "one")
    assert alone.skipped == "no other node is on its network"
