"""The delay that is configured on the links between a workload's nodes, as the run's timeline changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.matching import by_direction, crossed, longest
from testbed.plan.forwarding import forwarding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.plan.model import Plan
    from testbed.plan.workloads import Workload
    from testbed.runs.timeline_records import TimelineRecord

Steps = list[tuple[int, int]]
"""`(time, value)`: the value from that time on, CLOCK_MONOTONIC ns; the first time is 0."""


def one_way_ns(
    plan: Plan, workload: Workload, sender: str, receiver: str, timeline: Sequence[TimelineRecord] = ()
) -> Steps:
    """The delay from one node to another on the path that the workload's packets take, ns."""
    return _delay_ns(plan, workload, timeline, (sender, receiver))


def round_trip_ns(plan: Plan, workload: Workload, timeline: Sequence[TimelineRecord] = ()) -> Steps:
    """The delay there and back between the workload's nodes, ns."""
    there = workload.source, workload.destination
    return _delay_ns(plan, workload, timeline, there, there[::-1])


def _delay_ns(plan: Plan, workload: Workload, timeline: Sequence[TimelineRecord], *ways: tuple[str, str]) -> Steps:
    paths = forwarding(plan, workload.family)
    there, back = paths.both_ways(workload.source, workload.destination, workload.address)
    packets = workload.packets
    sent = [
        (key, packets if way[0] == workload.source else packets.back)
        for way in ways
        for hop in (there if way[0] == workload.source else back)
        for key in crossed(*hop)
    ]
    ways_taken = {key for key, _ in sent}
    delays = by_direction({link.key: link.impairments.delay_ns for link in plan.links if link.key.plain in ways_taken})

    def total_ns() -> int:
        return sum(longest(what, delays.get(hop, {})) for hop, what in sent)

    steps = [(0, total_ns())]
    for event, happening in zip(plan.timeline, timeline, strict=False):  # a run that failed has not seen all
        for change in event.changes:
            if change.key.plain in ways_taken:
                delays.setdefault(change.key.plain, {})[change.match] = change.impairments.delay_ns
        if total_ns() != steps[-1][1]:
            steps.append((happening.begun_ns, total_ns()))
    return steps
