"""The workloads that ran together, on one axis of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from testbed.results import rows
from testbed.results.report.axes import SECONDS, Linear
from testbed.results.report.marks import Level
from testbed.results.report.plot import Moment, Panel, figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.plan.model import Plan
    from testbed.results.report.asked import Course
    from testbed.results.report.bins import Bins
    from testbed.results.report.markup import Element
    from testbed.results.report.samples import Samples
    from testbed.results.timeline import Happening

_MOST_TICKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What ran together.

    Attributes:
        plan: asked for it.
        together: the samples of its workloads.
        origin_ns: the time that is 0 on the axis, CLOCK_MONOTONIC.
        length_ns: of the axis.
        timeline: what happened during the whole run.
        clock: what the axis counts, with the unit.
    """

    plan: Plan
    together: tuple[Samples, ...]
    origin_ns: int
    length_ns: int
    timeline: tuple[Happening, ...] = ()
    clock: str = "time since the stage began, s"

    @classmethod
    def of(cls, plan: Plan, together: Sequence[Samples], timeline: Sequence[Happening] = ()) -> Self | None:
        """The stage of workloads that ran together; None where nothing of them was recorded."""
        begun = [each.begun_ns for each in together if each.begun_ns is not None]
        ended = [each.ended_ns for each in together if each.ended_ns is not None]
        if not begun or not ended:
            return None
        return cls(
            plan=plan,
            together=tuple(together),
            origin_ns=min(begun),
            length_ns=max(1, max(ended) - min(begun)),
            timeline=tuple(timeline),
        )

    @property
    def moments(self) -> list[Moment]:
        """What happened meanwhile, on the axis."""
        found = [Moment(at=each.begun_ns - self.origin_ns, label=each.what) for each in self.timeline]
        return [each for each in found if 0 <= each.at <= self.length_ns]

    def level(self, asked: Course) -> list[Level]:
        """A line at what was asked for meanwhile; none where that is nothing."""
        before = [value for at_ns, value in asked if at_ns <= self.origin_ns]
        within = [
            (at_ns - self.origin_ns, value) for at_ns, value in asked if 0 < at_ns - self.origin_ns < self.length_ns
        ]
        steps = [(0, before[-1]), *within]
        if not any(value for _, value in steps):
            return []
        values = " / ".join(dict.fromkeys(rows.duration(value) for _, value in steps))
        return [Level(name=f"{values}, delay asked for", steps=steps)]

    @property
    def time(self) -> Linear:
        """The axis."""
        return Linear(low=0, high=self.length_ns, unit=SECONDS, most_ticks=_MOST_TICKS)

    def style(self, samples: Samples) -> int:
        """The number of the style that a workload has in all figures of the stage."""
        return self.together.index(samples)

    def middles(self, bins: Bins) -> list[float]:
        """Where the middles of bins are on the axis."""
        return [one.start + bins.width / 2 - self.origin_ns for one in bins]

    def means(self, bins: Bins) -> list[tuple[float, float]]:
        """The means of bins, each at the middle."""
        return [(at, one.mean) for at, one in zip(self.middles(bins), bins, strict=True)]

    def figure(self, title: str, panels: Sequence[Panel], *, note: str = "") -> Element:
        """A figure over time."""
        return figure(title, self.time, self.clock, panels, note=note, moments=self.moments)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
