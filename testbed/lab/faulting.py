"""Faults while a lab is up: one at once, or a whole timeline without workloads."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.errors import UsageError
from testbed.faults import SetClock
from testbed.impairments import CLEAR
from testbed.lab import bringup, clocks
from testbed.lab.observer import SILENT, Observer
from testbed.lab.timeline_client import Timeline
from testbed.plan.live_faults import read_fault

if TYPE_CHECKING:
    from testbed.lab.connected import ConnectedLab
    from testbed.plan.model import Plan
    from testbed.runs import TimelineRecord

_POLL_S = 0.05


def bring_about(lab: ConnectedLab, node: str, kind: str, value: object, lasting: str | None = None) -> tuple[str, ...]:
    """Bring about a fault of a node, wait for its end if it has a duration, and return what happened.

    Raises:
        UsageError: as `read_fault`.
        TestbedError: the agent could not do it; `contradicting-fault`, the node's state forbids it.
    """
    events = read_fault(lab.plan, node, kind, value, lasting)
    if len(events) == 1:
        happened = lab.agent.call(messages.BringAbout(faults=events[0].faults))
        for fault in events[0].faults:
            if isinstance(fault, SetClock):
                clocks.look(lab, fault, happened.done_ns)
    else:
        _carry_out(lab, replace(lab.plan, timeline=events), SILENT)
    return tuple(event.what for event in events)


def play(lab: ConnectedLab, played: Plan, observer: Observer) -> tuple[TimelineRecord, ...]:
    """See `Lab.play`."""
    known = {node.name for node in lab.plan.nodes}
    if strange := [node.name for node in played.nodes if node.name not in known]:
        message = f"{played.topology} has a node {strange[0]}, which lab {lab.name} lacks"
        raise UsageError("lab-differs", message, f"its nodes are: {', '.join(sorted(known))}")
    if any(event.commands for event in played.timeline):
        message = f"{played.topology} has run: in its timeline, whose output belongs to a run"
        raise UsageError("needs-run", message, f"testbed run {lab.name}, or testbed exec {lab.name} NODE -- COMMAND")
    changed = {change.key for event in played.timeline for change in event.changes}
    in_force = {link.key: link.impairments for link in lab.statistics()}
    links = [
        replace(link, impairments=in_force.get(link.key, CLEAR))  # as it is in this lab, whatever the file has
        for link in played.links
        if link.key in changed
    ]
    if links:  # their engines must be able to do all that the timeline requests
        lab.agent.call(messages.Impair(links=bringup.as_requests(replace(lab.plan, timeline=played.timeline), links)))
    return _carry_out(lab, replace(lab.plan, links=tuple(links), timeline=played.timeline), observer)


def _carry_out(lab: ConnectedLab, plan: Plan, observer: Observer) -> tuple[TimelineRecord, ...]:
    """Carry out the timeline of a plan from now on; return when all has happened and the lab is as before."""
    records: list[TimelineRecord] = []
    before = {link.key: link.impairments for link in plan.links}
    with Timeline(plan, lab, before, records.append, observer) as timeline:
        lead_ns = lab.agent.lead_ns
        timeline.start(lab.now_ns() + lead_ns)
        while len(records) < len(plan.timeline):
            timeline.follow()
            time.sleep(_POLL_S)
        timeline.require_all()
    return tuple(records)
