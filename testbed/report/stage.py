"""Workloads that ran together, on one time axis; those that are alike as one group."""

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.analysis.samples import Samples
    from testbed.plan.model import Plan, Workload
    from testbed.report.configured import Steps
    from testbed.runs.timeline_records import TimelineRecord

FEW = 4
"""Up to so many alike workloads are shown one by one."""

_LEAST_NS = 1_000_000
"""Of a time axis: one sample has no length of its own."""

_POINTS = 4000
"""Of all lines of a group together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A workload, or more than `FEW` that are alike: shown as one, under one name and in one colour.

    Attributes:
        members: at least one.
        style: number of its colour and dash pattern, the same in all figures of a stage.
    """

    members: tuple[Samples, ...]
    style: int

    @property
    def many(self) -> bool:
        """Whether it stands for several workloads."""
        return len(self.members) > 1

    @property
    def first(self) -> Samples:
        """One of its members, all of which are alike."""
        return self.members[0]

    @property
    def name(self) -> str:
        """The workload's name, or the first and the last of several: `c01 … c30`."""
        return group_name([member.workload.name for member in self.members])

    def fine(self, bins: Bins) -> Bins:
        """Bins of a member, as fine as there is room for with all others in one chart."""
        coarse = Bins(bins.width, limit=max(40, _POINTS // len(self.members)))
        coarse.include(bins)
        return coarse if self.many else bins


def group_name(names: Sequence[str]) -> str:
    """What to call workloads that are alike: `c01 … c30`, or the name of a single one."""
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def alike(workloads: Iterable[Workload]) -> list[list[Workload]]:
    """Workloads of one kind with the same parameters and destination, where there are more than `FEW`; else one each.

    The order is that of the first of each.
    """
    by_kind: dict[tuple[str, str, str], list[Workload]] = {}
    for workload in workloads:
        parameters = json.dumps(dict(workload.parameters), sort_keys=True, default=str)
        by_kind.setdefault((workload.kind, parameters, workload.destination), []).append(workload)
    return [part for group in by_kind.values() for part in ([group] if len(group) > FEW else [[one] for one in group])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What ran together.

    Attributes:
        plan: that it is of.
        groups: the samples of its workloads.
        origin_ns: the time that is 0 on the axis, CLOCK_MONOTONIC.
        length_ns: of the axis.
        timeline: what happened during the whole run.
        clock: what the axis counts, with the unit.
        key: charts of stages with the same key are zoomed together.
    """

    plan: Plan
    groups: tuple[Group, ...]
    origin_ns: int
    length_ns: int
    timeline: tuple[TimelineRecord, ...] = ()
    clock: str = "time since the stage began, s"
    key: str = ""

    @classmethod
    def of(
        cls, plan: Plan, together: Sequence[Samples], timeline: Sequence[TimelineRecord] = (), *, key: str = ""
    ) -> Self | None:
        """The stage of workloads that ran together; None where nothing of them was recorded."""
        begun = [samples.begun_ns for samples in together if samples.begun_ns is not None]
        ended = [samples.ended_ns for samples in together if samples.ended_ns is not None]
        if not begun or not ended:
            return None
        by_name = {samples.workload.name: samples for samples in together}
        groups = alike(samples.workload for samples in together)
        return cls(
            plan=plan,
            groups=tuple(
                Group(members=tuple(by_name[workload.name] for workload in group), style=style)
                for style, group in enumerate(groups)
            ),
            origin_ns=min(begun),
            length_ns=max(_LEAST_NS, max(ended) - min(begun)),
            timeline=tuple(timeline),
            key=key,
        )

    @property
    def moments(self) -> list[EventLine]:
        """What happened meanwhile, on the axis."""
        found = [EventLine(at=each.begun_ns - self.origin_ns, label=each.what) for each in self.timeline]
        return [moment for moment in found if 0 <= moment.at <= self.length_ns]

    @property
    def time(self) -> Axis:
        """The time axis."""
        return Axis(unit=SECONDS, low=0, high=self.length_ns)

    def level(self, configured: Steps) -> list[Level]:
        """A line at what was configured meanwhile; none where that is nothing."""
        before = [value for at_ns, value in configured if at_ns <= self.origin_ns]
        inside = [(at_ns - self.origin_ns, value) for at_ns, value in configured if at_ns > self.origin_ns]
        steps = [(0, before[-1]), *((at, value) for at, value in inside if at < self.length_ns)]
        if not any(value for _, value in steps):
            return []
        values = " / ".join(dict.fromkeys(formatting.duration(value) for _, value in steps))
        return [Level(name=f"configured delay {values}", steps=[*steps, (self.length_ns, steps[-1][1])])]

    def middles(self, bins: Bins) -> list[float]:
        """Where the middles of bins are on the axis."""
        return [one.start + bins.width / 2 - self.origin_ns for one in bins]

    def ranges(self, bins: Bins) -> list[tuple[float, float, float, float]]:
        """Of each bin its middle, and the least, the mean and the greatest of its values."""
        return [(at, one.low, one.mean, one.high) for at, one in zip(self.middles(bins), bins, strict=True)]

    def course(self, bins: Bins, style: int = 0, *, name: str = "", thin: bool = False, band: bool = False) -> Mark:
        """The means of bins over time; with a band from the least to the greatest where that is wanted."""
        if band:
            return Ranges(name=name, style=style, ranges=self.ranges(bins), band=True)
        points = [(at, mean) for at, _, mean, _ in self.ranges(bins)]
        return Lines(name=name, style=style, lines=[points], steps=True, look="thin" if thin else "")

    def figure(self, title: str, panels: Sequence[Panel], *, note: str = "") -> Figure:
        """A figure over time."""
        moments = self.moments
        return figure(title, self.time, self.clock, panels, note=note, moments=moments, group=self.key)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
