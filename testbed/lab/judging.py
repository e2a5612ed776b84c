"""Judges the path between any two containers or namespaces: impairments that another tool has set, or none.

Nothing is changed: two endpoints of ours send and receive in the network namespaces, as in a check of a lab.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from testbed import check, interruption
from testbed import runtime as runtimes
from testbed.agent import messages
from testbed.analysis import formatting
from testbed.errors import UsageError
from testbed.lab.connected import ConnectedLab
from testbed.plan import changes
from testbed.plan.model import Link, Plan
from testbed.plan.nodes import Interface, Network, Node
from testbed.runtime import state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.client import Agent
    from testbed.agent.messages import FoundAddress
    from testbed.lab.observer import Observer

_PATH = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where probes go to at an end: its address, and the MTU and subnet of the interface that has it."""

    name: str
    address: str
    prefix_length: int
    mtu: int


def judge(
    ends: tuple[str, str],
    requested: Mapping[str, object],
    *,
    runtime: str,
    both: bool = True,
    subnet: IPv4Network | None = None,
    deep: bool = False,
    budget_s: float | None = None,
    observer: Observer,
) -> tuple[check.LinkCheck, ...]:
    """Measure the path between two containers or network namespaces and compare it with impairments.

    Args:
        ends: names of containers; or names (of `ip netns`), pids or paths of network namespaces.
        requested: the impairments, with keys and values as in a topology file; without any, those of a clear link.
        runtime: `docker` for containers, `netns` for namespaces.
        both: measure both directions, each of which has the impairments; else the first to the second only.
        subnet: of the addresses to use, where there is a choice.
        deep: measure more, such as the depth of queues; takes longer.
        budget_s: time limit in seconds, see `Lab.check`.
        observer: receives the progress.

    Raises:
        UsageError: an end is not there, an impairment is wrong, or the addresses leave a choice.
        MachineError: this machine lacks something.
    """
    lab = f"check-{os.getpid()}"
    backend = runtimes.load(runtime)
    with (
        interruption.deferred(),
        state.locked(lab, "measuring"),
        backend.visiting(lab, ends) as agent,
        interruption.delivered(),
    ):
        plan = _plan(lab, runtime, _addressed(agent, ends, subnet))
        links = [_requested(plan, source, destination, requested) for source, destination in (ends, ends[::-1])]
        observer.begun("check", "probing the path")
        link_checks = check.measure(
            plan,
            ConnectedLab(plan, backend, was_up=True),
            links=links if both else links[:1],
            depth=check.DEEP if deep else check.QUICK,
            budget_s=budget_s,
            token_bucket=True,
            progress=lambda done: observer.progressed("check", "probes", done),
        )
        observer.ended("check", formatting.links_verdict(link_checks))
    return link_checks


def _addressed(agent: Agent, ends: Sequence[str], subnet: IPv4Network | None) -> tuple[_End, _End]:
    """Return both ends with the addresses that they share a subnet by, or else their only ones.

    Raises:
        UsageError: `same-namespace`, `no-address`, `which-address`.
    """
    first, second = (agent.call(messages.Look(node=name)) for name in ends)
    if first.number == second.number:
        message = f"{ends[0]} and {ends[1]} are in one network namespace: there is no path between them to measure"
        raise UsageError("same-namespace", message, "name two that have a network namespace each")
    addresses = [
        [each for each in found.addresses if subnet is None or IPv4Address(each.address) in subnet]
        for found in (first, second)
    ]
    shared = [(one, other) for one in addresses[0] for other in addresses[1] if _network(one) == _network(other)]
    pairs = shared or [(one, other) for one in addresses[0] for other in addresses[1]]
    for name, found, usable in zip(ends, (first, second), addresses, strict=True):
        if not usable:
            has = ", ".join(each.address for each in found.addresses) or "none"
            within = f" in {subnet}" if subnet else ""
            raise UsageError("no-address", f"{name} has no IPv4 address{within}; its addresses: {has}", None)
    if len(pairs) > 1:
        choice = ", ".join(sorted({str(_network(each)) for pair in pairs for each in pair}))
        message = f"{ends[0]} and {ends[1]} can reach each other by several addresses, in {choice}"
        raise UsageError("which-address", message, "choose one with --subnet")
    one, other = (
        _End(name=name, address=each.address, prefix_length=each.prefix_length, mtu=each.mtu)
        for name, each in zip(ends, pairs[0], strict=True)
    )
    return one, other


def _network(found: FoundAddress) -> IPv4Network:
    return IPv4Interface(f"{found.address}/{found.prefix_length}").network


def _plan(lab: str, runtime: str, ends: tuple[_End, _End]) -> Plan:
    """Return a plan of the two ends on one network, for the check."""
    nodes = [
        Node(
            name=end.name,
            interfaces=(
                Interface(network=_PATH, name="", address=end.address, prefix_length=end.prefix_length, mac=""),
            ),
            image=None,
            command=(),
            environment={},
            cpus_milli=0,
            memory_bytes=0,
            sysctls={},
            ready=None,
        )
        for end in ends
    ]
    network = Network(
        name=_PATH, subnet="", gateway="", allocated=False, internal=False, mtu=min(end.mtu for end in ends)
    )
    return Plan(
        lab=lab,
        topology=lab,
        description="",
        seed=0,
        runtime=runtime,
        networks=(network,),
        nodes=tuple(nodes),
        links=(),
        stages=(),
    )


def _requested(plan: Plan, source: str, destination: str, requested: Mapping[str, object]) -> Link:
    link = changes.locate(plan, source, destination)
    return changes.changed(plan, link, requested) if requested else link
