"""Workloads that ran together, on one time axis, with similar workloads as one group."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from testbed.analysis import formatting
from testbed.analysis.samples.bins import Bins
from testbed.report.axes import Axis
from testbed.report.charts import EventLine, Figure, Panel, figure
from testbed.report.display_units import SECONDS
from testbed.report.marks import Level, Lines, Mark, Ranges
from testbed.report.sampling import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.analysis.samples import Samples
    from testbed.plan.model import Plan
    from testbed.plan.workloads import Workload
    from testbed.report.configured import Steps
    from testbed.runs.timeline_records import TimelineRecord

FEW = 4
"""Up to this number, similar workloads are shown one by one."""

_LEAST_NS = 1_000_000
"""The least length of a time axis, because a single sample has no length."""

_POINTS = 4000
"""The number of points of all lines of a group together."""

_LINES = 50
"""Of a group with more members, so many have lines of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadGroup:
    """A workload, or more than `FEW` similar ones that are shown under one name and in one colour.

    Attributes:
        members: the samples of each workload, at least one.
        style: number of its colour and dash pattern, the same in all figures of a stage.
    """

    members: tuple[Samples, ...]
    style: int

    @property
    def many(self) -> bool:
        """Whether the group has several workloads."""
        return len(self.members) > 1

    @property
    def first(self) -> Samples:
        """The first of its similar members."""
        return self.members[0]

    @property
    def name(self) -> str:
        """The name of the workload, or the names of the first and the last: `c01 … c30`."""
        return group_name([member.workload.name for member in self.members])

    @property
    def drawn(self) -> list[Samples]:
        """The members with lines of their own: all, or some of very many, evenly chosen."""
        return spread(self.members, _LINES)

    @property
    def left_out(self) -> str:
        """A sentence about the members that have no line of their own; empty if all have."""
        drawn = len(self.drawn)
        return f" {drawn} of the {len(self.members):,} of {self.name} are drawn." if drawn < len(self.members) else ""

    @property
    def magnitude(self) -> float:
        """The mean latency of the members' messages, ns; of those without messages, what they got, bytes."""
        bins = [item for member in self.members for item in member.messages.latency]
        if count := sum(item.count for item in bins):
            return sum(item.total for item in bins) / count
        return sum(item.total for member in self.members if member.flow for item in member.flow.delivered)

    def fine(self, bins: Bins) -> Bins:
        """Return bins of a member that are coarse enough for one chart with all members."""
        coarse = Bins(bins.width, limit=max(40, _POINTS // len(self.drawn)))
        coarse.include(bins)
        return coarse if self.many else bins


def group_name(names: Sequence[str]) -> str:
    """Return a name for similar workloads: `c01 … c30`, or the name of a single one."""
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def alike(workloads: Iterable[Workload], *, few: int = FEW) -> list[list[Workload]]:
    """Group similar workloads: those that the members of a group of nodes run, and others that differ in source only.

    The latter are of one kind and have the same parameters and destination; up to `FEW` of them are groups of one. The
    groups are in the order of their first workloads.

    Args:
        workloads: that ran together.
        few: up to this number, workloads that the members of a group of nodes run are groups of one.
    """
    similar: dict[tuple[str, ...], list[Workload]] = {}
    for workload in workloads:
        parameters = json.dumps(dict(workload.parameters), sort_keys=True, default=str)
        key = (workload.group,) if workload.group else (workload.kind, parameters, workload.destination)
        similar.setdefault(key, []).append(workload)
    return [
        part
        for group in similar.values()
        for part in ([group] if len(group) > (few if group[0].group else FEW) else [[workload] for workload in group])
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStage:
    """The workloads that ran together.

    Attributes:
        plan: of the run.
        groups: the samples of its workloads.
        origin_ns: the time that is 0 on the axis, CLOCK_MONOTONIC.
        length_ns: of the axis.
        timeline: the events of the whole run.
        clock: the title of the time axis, with its unit.
        key: charts of stages with the same key are zoomed together.
    """

    plan: Plan
    groups: tuple[WorkloadGroup, ...]
    origin_ns: int
    length_ns: int
    timeline: tuple[TimelineRecord, ...] = ()
    clock: str = "time since the stage began, s"
    key: str = ""

    @classmethod
    def of(
        cls, plan: Plan, together: Sequence[Samples], timeline: Sequence[TimelineRecord] = (), *, key: str = ""
    ) -> Self | None:
        """Return the stage of workloads that ran together; None if nothing was recorded of them."""
        begun = [samples.begun_ns for samples in together if samples.begun_ns is not None]
        ended = [samples.ended_ns for samples in together if samples.ended_ns is not None]
        if not begun or not ended:
            return None
        by_name = {samples.workload.name: samples for samples in together}
        groups = alike(samples.workload for samples in together)
        return cls(
            plan=plan,
            groups=tuple(
                WorkloadGroup(members=tuple(by_name[workload.name] for workload in group), style=style)
                for style, group in enumerate(groups)
            ),
            origin_ns=min(begun),
            length_ns=max(_LEAST_NS, max(ended) - min(begun)),
            timeline=tuple(timeline),
            key=key,
        )

    @property
    def events(self) -> list[EventLine]:
        """The events of the timeline within the axis."""
        shown = [record for record in self.timeline if not record.minor]
        events = [EventLine(at=record.begun_ns - self.origin_ns, label=record.what) for record in shown]
        return [event for event in events if 0 <= event.at <= self.length_ns]

    @property
    def time(self) -> Axis:
        """The time axis."""
        return Axis(unit=SECONDS, low=0, high=self.length_ns)

    def level(self, configured: Steps) -> list[Level]:
        """Return a line at the configured delay; empty if there is none."""
        before = [value for at_ns, value in configured if at_ns <= self.origin_ns]
        inside = [(at_ns - self.origin_ns, value) for at_ns, value in configured if at_ns > self.origin_ns]
        steps = [(0, before[-1]), *((at, value) for at, value in inside if at < self.length_ns)]
        if not any(value for _, value in steps):
            return []
        values = formatting.one_after_another(formatting.duration(value) for _, value in steps)
        return [Level(name=f"configured delay {values}", steps=[*steps, (self.length_ns, steps[-1][1])])]

    def middles(self, bins: Bins) -> list[float]:
        """Return the positions of the middles of bins on the axis."""
        return [item.start + bins.width / 2 - self.origin_ns for item in bins]

    def ranges(self, bins: Bins) -> list[tuple[float, float, float, float]]:
        """Return the middle of each bin with the minimum, mean and maximum of its values."""
        return [(at, item.low, item.mean, item.high) for at, item in zip(self.middles(bins), bins, strict=True)]

    def curve(self, bins: Bins, style: int = 0, *, name: str = "", thin: bool = False, band: bool = False) -> Mark:
        """Return a line of the means of bins over time, optionally with a band from the minimum to the maximum."""
        if band:
            return Ranges(name=name, style=style, ranges=self.ranges(bins), band=True)
        points = [(at, mean) for at, _, mean, _ in self.ranges(bins)]
        return Lines(name=name, style=style, lines=[points], steps=True, look="thin" if thin else "")

    def figure(self, title: str, panels: Sequence[Panel], *, note: str = "") -> Figure:
        """Return a figure over time."""
        return figure(title, self.time, self.clock, panels, note=note, events=self.events, group=self.key)


_LISTED = 8


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence: `a, b and c`; of very many, the first and how many more there are."""
    if len(names) > _LISTED:
        names = [*names[: _LISTED - 1], f"{len(names) - _LISTED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
