"""Goodput over time, of all that ran together in one plot, and how fairly they shared."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report.axes import Linear, rate_unit
from testbed.results.report.marks import Line
from testbed.results.report.plot import Panel
from testbed.results.report.stage import listed
from testbed.statistics import jain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.results.report.bins import Bins
    from testbed.results.report.markup import Element
    from testbed.results.report.messages import Flow
    from testbed.results.report.stage import Stage

_SECOND = 1_000_000_000
_TWO = 2
_UNLIKE = 20
"""From which ratio of their peaks on two flows are not drawn on one axis."""


def goodput(stage: Stage) -> Iterator[Element]:
    """The figure of the stage's flows, where there are any."""
    flows = {each: each.flow for each in stage.together if each.flow is not None}
    if not any(len(list(flow.delivered)) > 1 for flow in flows.values()):
        return
    lines = [
        Line(
            name=each.workload.name, style=stage.style(each), points=rates(flow.delivered, stage.origin_ns), steps=True
        )
        for each, flow in flows.items()
    ]
    widths = sorted({flow.delivered.width for flow in flows.values()})
    note = f"Payload delivered per {' or '.join(rows.duration(width) for width in widths)}."
    for kind in dict.fromkeys(each.workload.kind for each in flows):  # flows of several kinds want different things
        alike = [flow for each, flow in flows.items() if each.workload.kind == kind]
        index = fairness(alike)
        if index is not None:
            note += f" Jain's fairness index of the {len(alike)} {kind}, while all ran: {index:.3f} (1 is all alike)."
    panels: list[Panel] = []
    for group in _alike(lines):
        most = _most(group[0])
        unit = rate_unit(most)
        height = 90 if panels else 170
        panels.append(Panel(label=f"goodput, {unit.name}", y=Linear.up_to(most, unit), marks=group, height=height))
    yield stage.figure(f"Goodput of {listed([each.workload.name for each in flows])}", panels, note=note)


def _alike(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that can be seen on the same axis, the greatest first."""
    groups: list[list[Line]] = []
    for line in sorted(lines, key=_most, reverse=True):
        if groups and _most(line) * _UNLIKE >= _most(groups[-1][0]):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _most(line: Line) -> float:
    return max(rate for _, rate in line.points)


def rates(delivered: Bins, origin_ns: int) -> list[tuple[float, float]]:
    """Goodput, bit/s, from the beginning of each bin on, 0 where nothing came; the last one, not full, is left out."""
    points: list[tuple[float, float]] = []
    width, found = delivered.width, list(delivered)
    for one, following in pairwise(found):
        points.append((one.start - origin_ns, one.total * 8 * _SECOND / width))
        if following.start > one.start + width:
            points.append((one.start + width - origin_ns, 0))
    points.append((found[-1].start - origin_ns, points[-1][1] if points else 0))
    return points


def fairness(flows: Sequence[Flow]) -> float | None:
    """Jain's fairness index of what flows had delivered while all of them ran.

    None for fewer than two flows, or where they never ran together.
    """
    if len(flows) < _TWO:
        return None
    begun, ended = max(flow.first_ns for flow in flows), min(flow.last_ns for flow in flows)
    if ended <= begun:
        return None
    shares = []
    for flow in flows:
        width = flow.delivered.width
        inside = [one.total for one in flow.delivered if begun <= one.start + width / 2 <= ended]
        shares.append(sum(inside) * _SECOND / width)
    return jain(shares)
