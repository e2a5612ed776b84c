"""The built-in nodes `host` and `internet` in a file: the links that they make, and the errors, at their places."""

import pytest

from testbed.errors import UsageError
from testbed.plan import resolve
from testbed.plan.changes import locate
from testbed.topology import TopologyError, loads

OPEN = "name: x\nnetworks: {lan: {internal: false}}\nnodes: {a: , b: }\n"
SHUT = "name: x\nnodes: {a: , b: }\n"


def problems(text):
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml")
    return [(each.line, each.column, each.code) for each in caught.value.problems]


def test_links_lead_to_this_machine_and_beyond_at_the_gateways_address():
    plan = resolve(
        loads(OPEN + "links: [{between: [a, host], delay: 1ms}, {from: internet, to: b, loss: 1%}]", "x.yml")
    )
    assert [link.name for link in plan.links] == ["a -> host", "host -> a", "internet -> b"]
    assert [node.name for node in plan.nodes] == ["a", "b"]
    assert [node.name for node in plan.ends] == ["a", "b", "host", "internet"]
    assert plan.end("host").on("lan").address == plan.networks[0].gateway


def test_the_network_is_the_one_that_leads_out():
    text = """
name: x
networks: {lan: , wan: {internal: false}}
nodes: {a: {networks: [lan, wan]}}
links: [{between: [a, host], delay: 1ms}]
"""
    assert {link.network for link in resolve(loads(text, "x.yml")).links} == {"wan"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SHUT + "links: [{between: [a, host], delay: 1ms}]", (3, 9, "internal-network")),
        (SHUT + "timeline: [{at: 1s, link: {between: [a, internet]}, loss: 1%}]", (3, 27, "internal-network")),
        (OPEN + "links: [{from: host, to: internet, delay: 1ms}]", (4, 9, "no-node")),
        (OPEN + "workloads: [{name: w, kind: tcp-rr, from: host, to: a}]", (4, 43, "built-in-node")),
        (OPEN + "capture: [internet]", (4, 11, "built-in-node")),
        ("name: x\nnodes: {a: , host: }", (2, 14, "reserved-name")),
    ],
)
def test_errors_are_at_their_place(text, found):
    assert problems(text) == [found]


def test_a_link_can_be_changed_only_where_a_network_leads_out():
    assert locate(resolve(loads(OPEN, "x.yml")), "host", "a").impairments.is_clear
    with pytest.raises(UsageError, match="no network that leads out"):
        locate(resolve(loads(SHUT, "x.yml")), "host", "a")
    with pytest.raises(UsageError):
        locate(resolve(loads(OPEN, "x.yml")), "host", "internet")
