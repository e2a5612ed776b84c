"""What the probes of a NAT say of it."""

from dataclasses import replace

import pytest

from testbed.agent.messages import NatObservation
from testbed.check.nats import behaviour, check_nats, judge, unused
from testbed.errors import LabError
from testbed.nat import KINDS, Behaviour
from testbed.plan import resolve
from testbed.plan.routes import Nat
from testbed.topology import loads

TEXT = """
name: x
networks: {lan: {subnet: 198.19.255.0/24}, wan: }
nodes:
  a: {networks: [lan]}
  home: {networks: [lan, wan], router: {nat: {inside: [lan], kind: address-restricted}}}
"""


def seen(mapped=(5, 5, 5, 5), *, addresses=False, ports=False, hairpins=False, lasts=None):
    return NatObservation(
        mapped=mapped, lets_in_addresses=addresses, lets_in_ports=ports, hairpins=hairpins, lasts=lasts
    )


def recording():
    """What is probed, and a probe that finds the NAT of the file."""
    calls = []

    def probe(call):
        calls.append(call)
        return seen(ports=True)

    return calls, probe


def nat(kind, *, hairpin=False):
    return Nat(inside=("lan",), outside=("wan",), kind=kind, timeout_ns=30_000_000_000, hairpin=hairpin)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (seen(addresses=True, ports=True), KINDS["full-cone"]),
        (seen(ports=True), KINDS["address-restricted"]),
        (seen(), KINDS["port-restricted"]),
        (seen((5, 6, 7, 8)), KINDS["symmetric"]),
        (seen((5, 5, 7, 7)), Behaviour("address-dependent", "address-and-port-dependent")),
        (seen((5, 6, 5, 6)), KINDS["symmetric"]),
        (seen((5, 5, 5, 6)), KINDS["symmetric"]),
        (seen((5, 5, 6, 7)), KINDS["symmetric"]),
    ],
)
def test_behaviour(found, expected):
    assert behaviour(found) == expected


def test_what_differs_is_named_with_what_was_requested():
    check = judge("home", "wan", nat("full-cone"), seen((1, 2, 3, 4), hairpins=True))
    assert not check.passed
    assert check.verdict == (
        "mapping is address-and-port-dependent, requested is endpoint-independent; "
        "filtering is address-and-port-dependent, requested is endpoint-independent; "
        "hairpin is on, requested is off"
    )


@pytest.mark.parametrize(
    ("lasts", "said", "passes"),
    [
        ((True, False), "mappings last about 30 s", True),
        ((True, True), "mappings last too long", False),
        ((False, False), "mappings last not long enough", False),
    ],
)
def test_timeout(lasts, said, passes):
    check = judge("home", "wan", nat("port-restricted"), seen(lasts=lasts))
    assert (check.timeout, check.passed) == (said, passes)


def test_a_nat_that_is_not_as_requested_is_probed_again():
    answers = [seen(), seen(), seen(ports=True)]
    (check,) = check_nats(resolve(loads(TEXT, "x.yml")), lambda _: answers.pop(0))
    assert (check.passed, answers) == (True, [])


def test_a_nat_that_lets_nothing_through_is_not_as_requested():
    def probe(_):
        raise LabError("nat-unprobed", "a packet does not get through home")

    (check,) = check_nats(resolve(loads(TEXT, "x.yml")), probe)
    assert (check.passed, check.found) == (False, "unknown")
    assert "does not get through home" in check.verdict


def test_only_a_check_with_enough_time_measures_the_timeout():
    calls, probe = recording()
    plan = resolve(loads(TEXT, "x.yml"))
    for longest_s in (0, 38, 39):
        check_nats(plan, probe, longest_s=longest_s)
    assert [call.timeout_ns for call in calls] == [0, 0, 30_000_000_000]


def test_the_addresses_of_probes_are_in_no_subnet_of_the_lab():
    plan = resolve(loads(TEXT, "x.yml"))
    with_ipv6_only = replace(plan, networks=(*plan.networks, replace(plan.networks[0], name="tunnel", subnet="")))
    for each in (plan, with_ipv6_only):
        assert unused(each) == ("198.19.254.255", "198.19.254.254", "198.19.254.253", "198.19.254.252")


def test_the_networks_outside_of_one_nat_are_probed_one_after_the_other():
    calls, probe = recording()
    text = TEXT.replace("wan: }", "wan: , second: }").replace("[lan, wan]", "[lan, wan, second]")
    checks = check_nats(resolve(loads(text, "x.yml")), probe)
    assert [check.name for check in checks] == ["nat home on wan", "nat home on second"]
    assert [call.outside for call in calls] == ["wan", "second"]
