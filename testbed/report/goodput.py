"""Charts of the goodput of workloads that ran together, and of its sum over similar flows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.analysis.samples.bins import Bins
from testbed.report.axes import Axis
from testbed.report.charts import Figure, Panel
from testbed.report.display_units import display_unit
from testbed.report.marks import Lines
from testbed.report.stage import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.analysis.samples import BinnedPayload
    from testbed.report.stage import ReportStage, WorkloadGroup

_SECOND = 1_000_000_000
_UNLIKE = 20
"""The ratio of their peaks from which two flows get separate axes."""


def goodput(stage: ReportStage) -> Iterator[Figure]:
    """Yield the figure of the stage's flows, if there are any."""
    flows = {id(group): _flows(group) for group in stage.groups}
    groups = [group for group in stage.groups if any(len([*flow.delivered]) > 1 for flow in flows[id(group)])]
    if not groups:
        return
    lines = [_lines(stage, group) for group in groups]
    panels = [
        _panel(
            "goodput of each" if any(len(mark.lines) > 1 for mark in alike) else "goodput", alike, small=bool(number)
        )
        for number, alike in enumerate(_alike(lines))
    ]
    for group in groups:
        if group.many:
            summed = rates(Bins.merged([flow.delivered for flow in flows[id(group)]]), stage.origin_ns)
            total = Lines(style=group.style, lines=[summed], steps=True)
            panels.append(_panel(f"sum of the {len(group.members)} of {group.name}", [total], small=True))
    widths = sorted({flow.delivered.width for group in groups for flow in flows[id(group)]})
    note = f"Payload delivered per {' or '.join(formatting.duration(width) for width in widths)}."
    note += "".join(group.left_out for group in groups)
    yield stage.figure(f"Goodput of {listed([group.name for group in groups])}", panels, note=note)


def _flows(group: WorkloadGroup) -> list[BinnedPayload]:
    return [member.flow for member in group.members if member.flow is not None]


def _lines(stage: ReportStage, group: WorkloadGroup) -> Lines:
    flows = [member.flow for member in group.drawn if member.flow is not None]
    lines = [rates(group.fine(flow.delivered), stage.origin_ns) for flow in flows]
    look = "faint" if group.many else ""
    return Lines(name=group.name, style=group.style, lines=lines, steps=True, look=look)


def _panel(what: str, lines: Sequence[Lines], *, small: bool) -> Panel:
    unit = display_unit("bit/s", _most(lines[0]))
    return Panel(label=f"{what}, {unit.name}", y=Axis(unit=unit), marks=lines, height=90 if small else 170)


def _alike(lines: Sequence[Lines]) -> list[list[Lines]]:
    """Group lines that are legible on the same axis, the greatest first."""
    groups: list[list[Lines]] = []
    for line in sorted(lines, key=_most, reverse=True):
        if groups and _most(line) * _UNLIKE >= _most(groups[-1][0]):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _most(lines: Lines) -> float:
    return max((rate for line in lines.lines for _, rate in line), default=0)


def rates(delivered: Bins, origin_ns: int) -> list[tuple[float, float]]:
    """Return the goodput, bit/s, from the beginning of each bin on, without the last bin, which is incomplete."""
    points: list[tuple[float, float]] = []
    width, buckets = delivered.width, list(delivered)
    for bucket, following in pairwise(buckets):
        points.append((bucket.start - origin_ns, bucket.total * 8 * _SECOND / width))
        if following.start > bucket.start + width:
            points.append((bucket.start + width - origin_ns, 0))
    points.append((buckets[-1].start - origin_ns, points[-1][1] if points else 0))
    return points
