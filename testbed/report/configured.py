"""The delay that is configured on the links between a workload's nodes, as the run's timeline changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.kinds import find
from testbed.matching import LinkKey, Packets, by_direction, longest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.plan.model import Plan, Workload
    from testbed.runs.timeline_records import TimelineRecord

Steps = list[tuple[int, int]]
"""`(time, value)`: the value from that time on, CLOCK_MONOTONIC ns; the first time is 0."""


def one_way_ns(
    plan: Plan, workload: Workload, sender: str, receiver: str, timeline: Sequence[TimelineRecord] = ()
) -> Steps:
    """The delay from one node to another on the network that the workload uses, ns."""
    return _delay_ns(plan, workload, timeline, (sender, receiver))


def round_trip_ns(plan: Plan, workload: Workload, timeline: Sequence[TimelineRecord] = ()) -> Steps:
    """The delay there and back between the workload's nodes, ns."""
    there = workload.source, workload.destination
    return _delay_ns(plan, workload, timeline, there, there[::-1])


def _delay_ns(plan: Plan, workload: Workload, timeline: Sequence[TimelineRecord], *ways: tuple[str, str]) -> Steps:
    destination = plan.node(workload.destination)
    network = next(
        (interface.network for interface in destination.interfaces if interface.address == workload.address), None
    )
    kind = find(workload.kind)
    packets = Packets(kind.protocols if kind else (), destination_port=workload.port)
    there = LinkKey(workload.source, workload.destination, str(network))
    sent = {there: packets, there.back: packets.back}
    asked = [LinkKey(*ends, str(network)) for ends in ways]
    delays = by_direction({link.key: link.impairments.delay_ns for link in plan.links if link.key.plain in asked})

    def total_ns() -> int:
        return sum(longest(sent[way], delays.get(way, {})) for way in asked)

    steps = [(0, total_ns())]
    for event, happening in zip(plan.timeline, timeline, strict=False):  # a run that failed has not seen all
        for change in event.changes:
            if change.key.plain in asked:
                delays.setdefault(change.key.plain, {})[change.match] = change.impairments.delay_ns
        if total_ns() != steps[-1][1]:
            steps.append((happening.begun_ns, total_ns()))
    return steps
