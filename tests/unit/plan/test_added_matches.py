"""Matches given on a command line or in Python, for links of a lab that is up."""

import pytest

from testbed.errors import UsageError
from testbed.matching import LinkKey, Match
from testbed.plan import changes, resolve
from testbed.topology import loads

DNS = Match(protocol=17, port=((53, 53),))
PLAN = resolve(
    loads(
        "name: x\nnodes: {a: , b: }\nlinks: [{from: a, to: b, match: {protocol: udp, port: 53}, loss: 1%}]\n", "x.yml"
    )
)


@pytest.mark.parametrize(
    "written",
    [
        "protocol=udp,port=53",
        "protocol = udp, port = [53]",
        "port: 53, protocol: udp",
        {"protocol": "udp", "port": 53},
        {"protocol": 17, "port": [53]},
    ],
)
def test_a_match_is_read_in_each_form(written):
    assert changes.read_match(written) == DNS


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("udp", "bad-match: the match 'udp': udp has no value"),
        ("", "missing-key: the match '' names nothing"),
        ("proto=udp", 'unknown-key: the match \'proto=udp\': it has no key "proto"\n  hint: did you mean "protocol"'),
        ("protocol=upd", 'unknown-value: .* is "upd"'),
        ("port=[53,70000]", r"bad-value: .*port\[1\] is 70000"),
        ("protocol=icmp,port=3", "conflicting-keys: .*port is given, and icmp has no ports"),
        ("protocol=udp,port=[53", "bad-yaml"),
        ({"protocol": object()}, "bad-value: protocol is <object"),
    ],
)
def test_a_wrong_match_is_an_error(written, error):
    with pytest.raises(UsageError, match=error):
        changes.read_match(written)


def test_the_link_of_a_match_is_found_or_made():
    assert changes.locate(PLAN, "a", "b", None, DNS) is PLAN.links[0]
    made = changes.locate(PLAN, "a", "b", None, Match(dscp=46))
    assert made.key == LinkKey("a", "b", "lan", Match(dscp=46))
    assert made.seed not in (PLAN.links[0].seed, changes.locate(PLAN, "a", "b").seed)


def test_a_new_link_must_get_packets():
    narrow = LinkKey("a", "b", "lan", Match(protocol=17, port=((53, 53),), dscp=46))
    with pytest.raises(UsageError, match="unreachable-match"):
        changes.require_packets(narrow, [LinkKey("a", "b", "lan", DNS)])
    changes.require_packets(narrow, [narrow, LinkKey("a", "b", "lan", DNS)])
    changes.require_packets(narrow, [LinkKey("b", "a", "lan", DNS)])


def test_the_rest_of_a_direction_is_measured_too():
    links = changes.with_remainders(PLAN, PLAN.links)
    assert [link.name for link in links] == ["a -> b (udp port 53)", "a -> b"]
    assert links[1].impairments.is_clear
