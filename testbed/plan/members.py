"""The plan of a lab as its containers are now: some may have been made anew, joined their service, or left it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from testbed.agent import messages
from testbed.codec import UnreadableError
from testbed.errors import LabError
from testbed.plan.model import VERSION, Link, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.messages import AgentStatus, Member
    from testbed.plan.events import Event, LinkChange
    from testbed.plan.nodes import Node
    from testbed.plan.workloads import Workload


class Holder(Protocol):
    """The source of the plan: `testbed.agent.client.Agent`."""

    def hello(self) -> AgentStatus:
        """Ask for the state of the agent."""

    def call(self, call: messages.Recall) -> Mapping[str, object] | None:
        """Make a call and wait for its result."""


def require_version(status: AgentStatus) -> None:
    """Require that what an agent holds, if anything, is a plan of this version.

    Raises:
        LabError: `lab-unreadable`.
    """
    if status.plan_version not in (None, VERSION):
        raise _unreadable(status, f"it is of version {status.plan_version}, not {VERSION}")


def held_plan(agent: Holder) -> Plan | None:
    """Return the plan that an agent holds, as the lab was brought up from it; None before the lab is up.

    Raises:
        LabError: `lab-unreadable`, it is no plan of this version.
    """
    return _held(agent, agent.hello())


def _held(agent: Holder, status: AgentStatus) -> Plan | None:
    require_version(status)
    held = agent.call(messages.Recall())
    if held is None:
        return None
    try:
        return Plan.from_json(held)
    except UnreadableError as error:
        raise _unreadable(status, str(error)) from None


def _unreadable(status: AgentStatus, why: str) -> LabError:
    message = f"the plan of lab {status.lab} can't be read: {why}"
    hint = f"the lab is of another version of the testbed: testbed down {status.lab} takes it down"
    return LabError("lab-unreadable", message, hint)


def current_plan(agent: Holder) -> Plan | None:
    """Return the plan that an agent holds, with the nodes that the lab has now; None before the lab is up.

    A node that has left stays as long as something else in the plan names it. A node that joined its service has the
    events of the timeline that the node has which it is like.

    Raises:
        LabError: as `held_plan`.
    """
    status = agent.hello()
    plan = _held(agent, status)
    if plan is None:
        return None
    if not status.members and not status.left:
        return plan
    needed = {end for workload in plan.workloads for end in (workload.source, workload.destination)}
    left = {*status.left} - needed - {*plan.sockets} - {*plan.capture.nodes}
    changed = {member.name: member for member in status.members if member.name == member.like}
    joined = [member for member in status.members if member.name != member.like]
    nodes = [_node(node, changed.get(node.name)) for node in plan.nodes if node.name not in left]
    nodes += [_node(replace(plan.node(member.like), name=member.name), member) for member in joined]
    links = [link for link in plan.links if not {link.source, link.destination} & left]
    return replace(
        plan,
        nodes=tuple(nodes),
        links=(*links, *_further_links(joined)),
        stages=tuple(tuple(_workload(each, plan, nodes) for each in stage) for stage in plan.stages),
        timeline=tuple(_event(event, joined, left) for event in plan.timeline),
    )


def _node(node: Node, member: Member | None) -> Node:
    """A node with the container and the addresses that it has now."""
    if member is None:
        return node
    found = {interface.network: interface for interface in member.interfaces}
    interfaces = tuple(
        replace(each, address=found[each.network].address, mac=found[each.network].mac)
        if each.network in found
        else each
        for each in node.interfaces
    )
    return replace(node, interfaces=interfaces, container=node.container and member.container)


def _further_links(joined: list[Member]) -> list[Link]:
    """The links of nodes that joined, each once."""
    found = {
        link.key: Link(
            source=link.source,
            destination=link.destination,
            network=link.network,
            match=link.match,
            impairments=link.impairments,
            seed=link.seed,
            engine=link.engine,
            profile=None,
        )
        for member in joined
        for link in member.links
    }
    return list(found.values())


def _workload(workload: Workload, plan: Plan, nodes: list[Node]) -> Workload:
    """A workload whose destination may have another address now."""
    now = {node.name: node for node in nodes}[workload.destination]
    addresses: Mapping[str, str] = {
        each.address: now.on(each.network).address for each in plan.node(workload.destination).interfaces
    }
    return replace(workload, address=addresses.get(workload.address, workload.address))


def _event(event: Event, joined: list[Member], left: set[str]) -> Event:
    changes = [change for change in event.changes if not {change.source, change.destination} & left]
    for member in joined:
        changes += [
            _like(change, member) for change in event.changes if member.like in (change.source, change.destination)
        ]
    return replace(event, changes=tuple(changes))


def _like(change: LinkChange, member: Member) -> LinkChange:
    source, destination = (member.name if end == member.like else end for end in (change.source, change.destination))
    return replace(change, source=source, destination=destination)
