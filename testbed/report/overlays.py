"""Charts that overlay a workload of several sides: a colour per side, each run faint, and the mean of the runs."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from testbed.analysis.samples.reading import TCP_INFO
from testbed.report.axes import Axis
from testbed.report.charts import Figure, Panel, figure
from testbed.report.display_units import SECONDS, display_unit
from testbed.report.goodput import rates
from testbed.report.latency import tail_figure, tail_points
from testbed.report.marks import Lines
from testbed.report.senders import column_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.analysis.samples import Samples
    from testbed.report.marks import Points

_GRID = 240
_TIME = "time since the workload began, s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaid:
    """One side of a comparison.

    Attributes:
        label: the name of the side.
        style: number of its colour and dashes.
        runs: the samples of the workload in each of its runs.
    """

    label: str
    style: int
    runs: tuple[Samples, ...]

    def lines(
        self, curve: Callable[[Samples], Points], grid: Callable[[Sequence[Points]], Sequence[float]]
    ) -> list[Lines]:
        """Return a line of `curve` for each run and, if there are several, a line of their mean on a grid."""
        curves = [points for run in self.runs if (points := curve(run))]
        if not curves:
            return []
        if len(curves) == 1:
            return [Lines(name=self.label, style=self.style, lines=curves, steps=True)]
        name = f"{self.label}, mean of {len(curves)} runs"
        return [
            Lines(name=f"{self.label}, each run", style=self.style, lines=curves, steps=True, look="faint"),
            Lines(name=name, style=self.style, lines=[mean(curves, grid(curves))], steps=True),
        ]


def mean(curves: Sequence[Points], grid: Sequence[float]) -> list[tuple[float, float]]:
    """Return the mean of step functions on a grid; at each point, of those that have begun and not ended."""
    starts = [[x for x, _ in points] for points in curves]
    means = []
    for at in grid:
        values = [
            points[bisect_right(xs, at) - 1][1]
            for points, xs in zip(curves, starts, strict=True)
            if xs[0] <= at <= xs[-1]
        ]
        if values:
            means.append((at, fmean(values)))
    return means


def _even(curves: Sequence[Points]) -> list[float]:
    first, last = min(points[0][0] for points in curves), max(points[-1][0] for points in curves)
    return [first + (last - first) * number / _GRID for number in range(_GRID + 1)]


def _own(curves: Sequence[Points]) -> list[float]:
    """Return the positions of the functions' steps, thinned out if there are too many."""
    places = sorted({x for points in curves for x, _ in points})
    return places[:: 1 + len(places) // (4 * _GRID)]


def overlays(workload: str, sides: Sequence[Overlaid]) -> Iterator[Figure]:
    """Yield the figures of one workload, without those of metrics that no run recorded."""
    length = max((_length_ns(run) for side in sides for run in side.runs), default=0)
    time = Axis(low=0, high=max(1, length), unit=SECONDS)
    goodput = [line for side in sides for line in side.lines(_goodput, _even)]
    if goodput:
        unit = display_unit("bit/s", _most(goodput))
        panel = Panel(label=f"goodput, {unit.name}", y=Axis(unit=unit), marks=goodput, height=170)
        yield figure(f"Goodput of {workload}", time, _TIME, [panel], group=workload)
    panels = [*_tcp(sides, "rtt_ns"), *_tcp(sides, "cwnd")]
    if panels:
        yield figure(f"TCP sender of {workload}", time, _TIME, panels, group=workload)
    yield from _tails(workload, sides)


def _length_ns(samples: Samples) -> int:
    return (samples.ended_ns or 0) - (samples.begun_ns or 0)


def _most(lines: Sequence[Lines]) -> float:
    return max(value for line in lines for points in line.lines for _, value in points)


def _goodput(samples: Samples) -> Points:
    return rates(samples.flow.delivered, samples.begun_ns or 0) if samples.flow is not None else []


def _tcp(sides: Sequence[Overlaid], column: str) -> Iterator[Panel]:
    """Yield a panel of a column of TCP_INFO, from the first node that recorded it."""

    def curve(samples: Samples) -> Points:
        bins = next((series.columns[column] for series in samples.senders if column in series.columns), None)
        begun_ns = samples.begun_ns or 0
        return [] if bins is None else [(item.start + bins.width / 2 - begun_ns, item.mean) for item in bins]

    lines = [line for side in sides for line in side.lines(curve, _even)]
    if lines:
        axis, label = column_axis(TCP_INFO, column, _most(lines))
        yield Panel(label=label, y=axis, marks=lines, height=120)


def _tails(workload: str, sides: Sequence[Overlaid]) -> Iterator[Figure]:
    """Yield a figure of distributions of latency; the mean of several is the mean of the ratios at each latency."""
    curves = {id(run): tail_points(run) for side in sides for run in side.runs if run.messages.latencies.count}
    if not curves:
        return
    low, high = min(points[0][0] for points in curves.values()), max(points[-1][0] for points in curves.values())

    def curve(samples: Samples) -> Points:
        points = curves.get(id(samples), [])
        return [(low, 1.0), *points, (high, points[-1][1])] if points else []

    lines = [line for side in sides for line in side.lines(curve, _own)]
    yield tail_figure(f"Distribution of the latency of {workload}", lines)
