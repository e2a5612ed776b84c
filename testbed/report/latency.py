"""Charts of the latency of messages, over the time of sending and as a distribution, and of lost messages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.analysis import formatting
from testbed.analysis.samples.bins import Bins
from testbed.report import configured
from testbed.report.axes import Axis
from testbed.report.charts import Figure, Panel, figure
from testbed.report.display_units import COUNT, PERCENT, SECONDS, display_unit
from testbed.report.marks import Bars, Level, Lines, Mark, Ranges, Ticks
from testbed.report.stage import ReportStage, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.analysis.samples import Samples
    from testbed.plan.model import Plan
    from testbed.report.configured import Steps
    from testbed.report.stage import WorkloadGroup
    from testbed.runs.timeline_records import TimelineRecord

_PARTS = 100
_LEAST_IN_PART = 10
_WIDE = 8
"""The ratio of the greatest to the least latency from which the axis is logarithmic."""

_IN_ONE_PANEL = 3
_CURVE = 300
"""The number of points in the curve of a distribution."""

_PERCENTILES = (
    (0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (1e-3, "p99.9"), (1e-4, "p99.99"), (1e-5, "p99.999"), (1e-6, "p99.9999"),
)  # fmt: skip


def over_time(stage: ReportStage) -> Iterator[Figure]:
    """Yield figures of latency over the time of sending, one for one-way messages and one for requests."""
    for one_way in (True, False):
        groups = [
            replace(group, members=members)
            for group in stage.groups
            if (members := tuple(member for member in group.members if _has_latency(member, one_way=one_way)))
        ]
        if groups:
            yield _over_time(stage, groups, "one-way delay" if one_way else "response time", one_way=one_way)


def _has_latency(samples: Samples, *, one_way: bool) -> bool:
    return bool(samples.messages.latency) and samples.messages.one_way is one_way


def _over_time(stage: ReportStage, groups: Sequence[WorkloadGroup], what: str, *, one_way: bool) -> Figure:
    """Return a figure of latency on equal axes: a few one-way workloads in one panel, others below each other.

    One panel shows the effect of a loss: in a TCP stream it delays all later messages, among datagrams none.
    """
    y, unit = _axis([_latency(group) for group in groups], [_configured_ns(stage, group.first) for group in groups])
    together = [[*groups]] if one_way and len(groups) <= _IN_ONE_PANEL else [[group] for group in groups]
    panels = []
    for part in together:
        label = f"{what}, {unit}" if len(together) == 1 else f"{part[0].name}, {unit}"
        marks: list[Mark] = [_dots(stage, group, named=len(part) > 1) for group in part]
        marks += _levels([(stage, group.first) for group in part])
        marks += _losses(stage, part)
        panels.append(Panel(label=label, y=y, marks=marks, height=190 if len(part) > 1 else 130))
    title = f"{what.capitalize()} of {listed([group.name for group in groups])}"
    return stage.figure(title, panels, note=_note(groups))


def _latency(group: WorkloadGroup) -> Bins:
    """Return the latency of all members over time."""
    return Bins.merged([member.messages.latency for member in group.members])


def _note(groups: Sequence[WorkloadGroup]) -> str:
    """Return a note on how to read the dots of these workloads."""
    note = "By the time of sending."
    singles = [group.first.messages.latency for group in groups if not group.many]
    widths = {bins.width for bins in singles if any(item.count > 1 for item in bins)}
    if widths:
        per = " or ".join(formatting.duration(width) for width in sorted(widths))
        note += f" A dot is the mean of {per}, its stroke goes from the least to the greatest."
    if any(group.many for group in groups):
        note += " Of alike workloads the line is the mean, the band goes from the least of all of them to the greatest."
    members = [member for group in groups for member in group.members]
    streams = [member for member in members if member.messages.one_way and member.senders]
    if streams and len(streams) < len(members):
        note += " Where those of a TCP stream climb, all wait for a segment that was lost (head-of-line blocking)."
    return note


def twins(plan: Plan, group: Sequence[Samples], timeline: Sequence[TimelineRecord]) -> Iterator[Figure]:
    """Yield figures of one-way delay of similar workloads that ran one after the other, aligned at their beginnings."""
    stages = [stage for samples in group if (stage := ReportStage.of(plan, [samples], timeline)) is not None]
    firsts = [(stage, stage.groups[0]) for stage in stages]
    y, unit = _axis(
        [member.first.messages.latency for _, member in firsts],
        [_configured_ns(stage, member.first) for stage, member in firsts],
    )
    marks: list[Mark] = [
        _dots(stage, replace(member, style=style), named=True) for style, (stage, member) in enumerate(firsts)
    ]
    marks += _levels([(stage, member.first) for stage, member in firsts])
    losses = [ticks for stage, member in firsts for ticks in _losses(stage, [member], named=True)]
    marks += [replace(ticks, row=row) for row, ticks in enumerate(losses)]
    x = Axis(low=0, high=max(stage.length_ns for stage in stages), unit=SECONDS)
    names = listed([samples.workload.name for samples in group])
    panel = Panel(label=f"one-way delay, {unit}", y=y, marks=marks, height=190)
    note = _note([member for _, member in firsts])
    yield figure(f"One-way delay of {names}", x, "time since each began, s", [panel], note=note)
    lines = [
        Lines(name=samples.workload.name, style=style, lines=[tail_points(samples)])
        for style, samples in enumerate(group)
    ]
    yield tail_figure(f"Distribution of the latency of {names}", lines)


def _levels(workloads: Sequence[tuple[ReportStage, Samples]]) -> list[Level]:
    """Return lines at the configured delays; workloads with the same delay share a line."""
    by_name = {
        level.name: level for stage, samples in workloads for level in stage.level(_configured_ns(stage, samples))
    }
    return list(by_name.values())


def _dots(stage: ReportStage, group: WorkloadGroup, *, named: bool) -> Ranges:
    ranges = stage.ranges(_latency(group) if group.many else group.first.messages.latency)
    return Ranges(name=group.name if named else "", style=group.style, ranges=ranges, band=group.many)


def _losses(stage: ReportStage, groups: Sequence[WorkloadGroup], *, named: bool = False) -> list[Ticks]:
    """Return strokes at the times at which lost messages were sent, a row for each group."""
    losing = [
        (group, bins)
        for group in groups
        if (bins := Bins.merged([member.messages.lost_at for member in group.members]))
    ]
    return [
        Ticks(
            name=f"lost of {group.name}" if named or len(groups) > 1 else "lost",
            positions=stage.middles(bins),
            row=row,
        )
        for row, (group, bins) in enumerate(losing)
    ]


def _axis(latencies: Sequence[Bins], levels: Sequence[Steps]) -> tuple[Axis, str]:
    """Return an axis for latencies and configured delays, ns, and the label of its unit."""
    measured = [value for bins in latencies for item in bins for value in (item.low, item.high)]
    delays = [value for steps in levels for _, value in steps if value]
    high = max([*measured, *delays])
    least = min([*measured, *delays])
    unit = display_unit("ns", high)
    if least > 0 and high > _WIDE * least:
        return Axis(low=least * 0.7, high=high * 1.15, scale="log", unit=unit), f"{unit.name}, logarithmic"
    return Axis(unit=unit, low=min(0.0, least), high=high * 1.05 or 1.0), unit.name


def _configured_ns(stage: ReportStage, samples: Samples) -> Steps:
    """Return the configured delay of a workload's messages, or of messages and answers, ns."""
    messages, workload = samples.messages, samples.workload
    if messages.one_way:
        ends = str(messages.sender), str(messages.receiver)
        return configured.one_way_ns(stage.plan, workload, *ends, stage.timeline)
    return configured.round_trip_ns(stage.plan, workload, stage.timeline)


def tail(stage: ReportStage) -> Iterator[Figure]:
    """Yield a figure of the complementary distribution of latencies; a curve ends at the ratio of lost messages."""
    curves: list[Lines] = []
    names: list[str] = []
    for group in stage.groups:
        members = [member for member in group.drawn if member.messages.latencies.count]
        if members:
            way = "one way" if members[0].messages.one_way else "response"
            lines = [tail_points(member) for member in members]
            name, look = f"{group.name} ({way})", "faint" if group.many else ""
            curves.append(Lines(name=name, style=group.style, lines=lines, steps=True, look=look))
            names.append(group.name)
    if curves:
        note = "".join(group.left_out for group in stage.groups if group.name in names)
        yield tail_figure(f"Distribution of the latency of {listed(names)}", curves, note=note.strip())


_OFF_AXIS = 1e-12
"""Stands for a share of 0 on a logarithmic axis, where the library would draw that at the top."""


def tail_points(samples: Samples) -> list[tuple[float, float]]:
    """Return latencies, ns, each with the ratio of sent messages that took longer, including lost ones."""
    sent = len(samples.messages)
    greater = samples.messages.latencies.greater()
    lost = sent - samples.messages.latencies.count
    points = [(float(greater[0][0]), 1.0), *((float(value), (left + lost) / sent) for value, left in greater)]
    return _thinned(points)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points without those less than a pixel from the one before, on logarithmic axes."""
    kept = [points[0]]
    ratio = (max(1.0, points[-1][0]) / max(1.0, points[0][0])) ** (1 / _CURVE)
    for point in points[1:-1]:
        x, y = kept[-1]
        if point[0] > x * ratio or point[1] < y * 0.97:
            kept.append(point)
    return [*kept, points[-1]]


def tail_figure(title: str, lines: Sequence[Lines], *, note: str = "") -> Figure:
    """Return a figure of curves of `tail_points`."""
    curves = [points for line in lines for points in line.lines]
    low = max(1, min(points[0][0] for points in curves)) * 0.95
    high = max(2, *(points[-1][0] for points in curves)) * 1.08
    unit = display_unit("ns", high)
    floor = min([share for points in curves for _, share in points if share])
    marks = [replace(line, lines=[_extended(points, low, high) for points in line.lines]) for line in lines]
    bottom = min(0.01, floor) * 0.8
    labels = [(1.0, "all"), *((share, name) for share, name in _PERCENTILES if share >= bottom)]
    y = Axis(low=bottom, high=1.0, scale="log", labels=labels)
    read = "The share of the messages sent that took longer. Lost ones never arrive: the curve ends at their share."
    panel = Panel(label="percentile", y=y, marks=marks, height=190)
    x = Axis(low=low, high=high, scale="log", unit=unit)
    return figure(title, x, f"latency, {unit.name}, logarithmic", [panel], note=f"{read} {note}".rstrip())


def _extended(points: Sequence[tuple[float, float]], low: float, high: float) -> list[tuple[float, float]]:
    """Return a curve from one end of the axis to the other or, if nothing was lost, down to its bottom.

    If clocks differ, a latency may be 0 or negative; a logarithmic axis then shows it at its beginning.
    """
    extended = [(low, 1.0), *((max(low, latency_ns), share or _OFF_AXIS) for latency_ns, share in points)]
    return [*extended, (high, extended[-1][1])] if points[-1][1] else extended


def sequence(samples: Samples) -> Iterator[Figure]:
    """Yield a figure of lost, reordered and duplicated messages over the sequence, if there are any.

    There is none if only requests were lost: they are sent one by one, and other figures show their loss over time.
    """
    messages = samples.messages
    kinds = [
        ("lost", "var(--bad)", messages.lost),
        ("reordered", "var(--odd)", messages.reordered),
        ("duplicates", "var(--also)", messages.duplicated),
    ]
    if not (messages.reordered or messages.duplicated or (messages.lost and messages.one_way)):
        return
    panels = []
    if messages.lost and len(messages) >= _LEAST_IN_PART:
        bars = messages.loss(min(_PARTS, len(messages) // _LEAST_IN_PART))
        label = f"loss, % of every {bars[0][1]}"
        panels.append(Panel(label=label, y=Axis(unit=PERCENT), marks=[Bars(bars=bars)], height=90))
    ticks = [
        Ticks(name=name, colour=colour, row=row, positions=[item.start + bins.width / 2 for item in bins])
        for row, (name, colour, bins) in enumerate(kind for kind in kinds if kind[2])
    ]
    panels.append(Panel(label="each of them", y=None, marks=ticks))
    counts = ", ".join(f"{_total(bins)} {name}" for name, _, bins in kinds)
    x = Axis(low=0, high=len(messages), unit=COUNT)
    note = f"Of {len(messages)} messages: {counts}."
    yield figure(f"Loss and reordering of {samples.workload.name}", x, "sequence number", panels, note=note)


def _total(bins: Bins) -> int:
    return sum(item.count for item in bins)
