"""The MTU and the MAC of a node on a network: what they mean, and their faults."""

from ipaddress import IPv4Network

import pytest

from testbed.plan import relocate, resolve
from testbed.topology import TopologyError, loads

MAC = "52:54:00:12:34:5"


def interfaces(nodes, networks="{lan: {mtu: 9000}}"):
    plan = resolve(loads(f"{{name: x, networks: {networks}, nodes: {nodes}}}", "x.yml"))
    return plan, {node.name: node.interfaces[0] for node in plan.nodes}


def test_an_interface_has_the_mtu_and_the_mac_of_the_file():
    plan, of = interfaces(f'{{a: {{networks: {{lan: {{mtu: 1400, mac: "{MAC}A"}}}}}}, b: }}')
    assert (of["a"].mtu, of["a"].mac, of["a"].given_mac) == (1400, f"{MAC}a", f"{MAC}a")
    assert (of["b"].mtu, of["b"].given_mac) == (0, "")
    assert of["b"].mac.startswith("02:42:")
    assert (plan.mtu("lan"), plan.mtu("lan", "b"), plan.mtu("lan", "b", "a")) == (9000, 9000, 1400)


def test_each_member_of_a_group_has_the_next_mac():
    _, of = interfaces('{g: {count: 3, networks: {lan: {mac: "52:54:00:12:34:fe", mtu: 2000}}}}')
    assert [of[f"g-{number}"].mac for number in (1, 2, 3)] == [
        "52:54:00:12:34:fe",
        "52:54:00:12:34:ff",
        "52:54:00:12:35:00",
    ]
    assert {interface.mtu for interface in of.values()} == {2000}


def test_a_given_mac_stays_when_the_subnet_is_in_use():
    plan, of = interfaces(f'{{a: {{networks: {{lan: {{mac: "{MAC}a"}}}}}}, b: }}')
    moved = relocate(plan, [IPv4Network(plan.networks[0].subnet)])
    assert moved.node("a").interfaces[0].address != of["a"].address
    assert moved.node("a").interfaces[0].mac == of["a"].mac
    assert moved.node("b").interfaces[0].mac != of["b"].mac


def test_mac_and_mtu_are_part_of_the_digest():
    plain, _ = interfaces("{a: {networks: {lan: }}, b: }")
    other, _ = interfaces(f'{{a: {{networks: {{lan: {{mac: "{MAC}a"}}}}}}, b: }}')
    smaller, _ = interfaces("{a: {networks: {lan: {mtu: 1400}}}, b: }")
    same, _ = interfaces("{a: {networks: {lan: {mtu: 1400}}}, b: }")
    assert smaller.digest == same.digest
    assert len({plain.digest, other.digest, smaller.digest}) == 3


@pytest.mark.parametrize(
    ("attachment", "networks", "code", "words"),
    [
        ('{mac: "53:54:00:12:34:56"}', "{lan: }", "bad-value", "unicast"),
        ('{mac: "00:00:00:00:00:00"}', "{lan: }", "bad-value", "unicast"),
        ('{mac: "02:42:c6:12:00:02"}', "{lan: }", "bad-value", "derived from addresses"),
        ('{mac: "5254.0012.3456"}', "{lan: }", "bad-value", "02:00:5e:10:00:01"),
        (f'{{mac: "{MAC}b"}}', "{lan: }", "mac-taken", "a 52:54:00:12:34:5b on lan, which is b's"),
        ("{mtu: 1501}", "{lan: }", "mtu-too-large", "more than the network's MTU, 1500"),
        ("{mtu: 575}", "{lan: }", "out-of-range", "576"),
        ("{mtu: 1279}", "{lan: {ip: both}}", "mtu-too-small", "1280 bytes"),
        ("{}", "{lan: {mtu: 65536}}", "out-of-range", "at most 65535"),
    ],
)
def test_wrong_values_are_errors_with_code_and_reason(attachment, networks, code, words):
    nodes = f'{{b: {{networks: {{lan: {{mac: "{MAC}b"}}}}}}, a: {{networks: {{lan: {attachment}}}}}}}'
    with pytest.raises(TopologyError) as caught:
        loads(f"{{name: x, networks: {networks}, nodes: {nodes}}}", "x.yml")
    found = {problem.code: f"{problem.message} {problem.hint}" for problem in caught.value.problems}
    assert words in found[code]
