"""Find out whether NATs behave as requested, in the words of RFC 4787, from what RFC 5780's probes show."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import TYPE_CHECKING

from testbed import units
from testbed.agent.messages import ProbeNat
from testbed.check.verdict import AS_REQUESTED
from testbed.errors import LabError
from testbed.families import POOL
from testbed.nat import ADDRESS, ADDRESS_AND_PORT, INDEPENDENT, KINDS, Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.agent.messages import NatObservation
    from testbed.plan.model import Plan
    from testbed.plan.routes import Nat

_AT_ONCE = 8
_ATTEMPTS = 3
"""Of a NAT that is not as requested: on a busy machine a packet may be overtaken by the one after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatCheck:
    """The NAT of a router towards a network outside, as requested and as found.

    Attributes:
        node: the router.
        network: the one outside.
        kind: the requested kind.
        hairpin: whether nodes inside reach each other by their addresses outside, as found.
        mapping, filtering: what was found, in the words of RFC 4787; empty if nothing was.
        verdict: `as requested`, or what is wrong.
        passed: whether it is as requested.
        timeout: what was found of it: empty if nothing was asked.
    """

    node: str
    network: str
    kind: str
    mapping: str
    filtering: str
    hairpin: bool
    verdict: str
    passed: bool
    timeout: str = ""

    @property
    def name(self) -> str:
        """What messages call the NAT: `nat home on wan`."""
        return f"nat {self.node} on {self.network}"

    @property
    def found(self) -> str:
        """What was found: `mapping endpoint-independent, filtering address-dependent, no hairpin`."""
        if not self.mapping:
            return "unknown"
        hairpin = f"{'' if self.hairpin else 'no '}hairpin"
        return ", ".join(filter(None, (str(Behaviour(self.mapping, self.filtering)), hairpin, self.timeout)))


def check_nats(
    plan: Plan, probe: Callable[[ProbeNat], NatObservation], *, longest_s: float = 0
) -> tuple[NatCheck, ...]:
    """Probe the NATs of a lab, each towards each of its networks outside. Takes some 10 ms for each.

    Args:
        plan: of the lab.
        probe: has the lab's agent probe.
        longest_s: how long it may take to see whether mappings last as long as requested; 0: not at all.
    """
    addresses = unused(plan)

    def check(node: str, asked: Nat) -> list[NatCheck]:
        """Probe one network after the other: a router has one way at a time to the addresses of the probe."""
        calls = [
            ProbeNat(
                node=node,
                inside=asked.inside[0],
                outside=network,
                inside_addresses=addresses[:2],
                outside_addresses=addresses[2:],
                timeout_ns=asked.timeout_ns if asked.timeout_ns * 1.25 / 1e9 + 1 < longest_s else 0,
            )
            for network in asked.outside
        ]
        return [_check(asked, probe, call) for call in calls]

    routers = [(node.name, node.router.nat) for node in plan.nodes if node.router and node.router.nat]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checks = [pool.submit(check, *router) for router in routers]
        return tuple(found for each in checks for found in each.result())


def unused(plan: Plan) -> tuple[str, str, str, str]:
    """Return four addresses that are in no subnet of a plan, from the end of the pool."""
    subnets = [IPv4Network(network.subnet) for network in plan.networks if network.subnet]
    last = int(POOL.broadcast_address) - 1
    free = (
        str(address)
        for address in map(IPv4Address, range(last, int(POOL.network_address), -1))
        if not any(address in subnet for subnet in subnets)
    )
    one, two, three, four = islice(free, 4)
    return one, two, three, four


def _check(asked: Nat, probe: Callable[[ProbeNat], NatObservation], call: ProbeNat) -> NatCheck:
    for attempt in range(_ATTEMPTS):
        try:
            check = judge(call.node, call.outside, asked, probe(call))
        except LabError as error:
            return NatCheck(
                node=call.node,
                network=call.outside,
                kind=asked.kind,
                mapping="",
                filtering="",
                hairpin=False,
                verdict=f"nothing found: {error.message}",
                passed=False,
            )
        if check.passed or attempt == _ATTEMPTS - 1:
            break
    return check


def judge(node: str, network: str, asked: Nat, found: NatObservation) -> NatCheck:
    """Return the check of a NAT from what its probes showed."""
    wanted, present = KINDS[asked.kind], behaviour(found)
    wrong = [
        f"{name} is {shown}, requested is {should}"
        for name, shown, should in (
            ("mapping", present.mapping, wanted.mapping),
            ("filtering", present.filtering, wanted.filtering),
            ("hairpin", _on(found.hairpins), _on(asked.hairpin)),
        )
        if shown != should
    ]
    timeout = ""
    if found.lasts is not None:
        early, late = found.lasts
        requested = units.DURATION.format(asked.timeout_ns)
        timeout = "mappings last " + ("too long" if late else f"about {requested}" if early else "not long enough")
        if late or not early:
            wrong.append(f"{timeout}, requested is {requested}")
    return NatCheck(
        node=node,
        network=network,
        kind=asked.kind,
        mapping=present.mapping,
        filtering=present.filtering,
        hairpin=found.hairpins,
        verdict="; ".join(wrong) or AS_REQUESTED,
        passed=not wrong,
        timeout=timeout,
    )


def behaviour(found: NatObservation) -> Behaviour:
    """Return how a NAT behaves (RFC 5780, sections 4.3 and 4.4)."""
    one, same_address, other, same_other = found.mapped
    if len(set(found.mapped)) == 1:
        mapping = INDEPENDENT
    elif one == same_address and other == same_other:
        mapping = ADDRESS
    else:
        mapping = ADDRESS_AND_PORT
    filtering = INDEPENDENT if found.lets_in_addresses else ADDRESS if found.lets_in_ports else ADDRESS_AND_PORT
    return Behaviour(mapping, filtering)


def _on(is_on: bool) -> str:  # noqa: FBT001
    return "on" if is_on else "off"
