"""Latency of messages, over the time of sending and as a distribution; and which of them were lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.results import rows
from testbed.results.report import asked
from testbed.results.report.axes import (
    ONE,
    PERCENT,
    SECONDS,
    Axis,
    Linear,
    Logarithmic,
    Nothing,
    Percentiles,
    time_unit,
)
from testbed.results.report.marks import Columns, Dots, Level, Line, Mark, Rug
from testbed.results.report.plot import Panel, figure
from testbed.results.report.stage import Stage, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.plan.model import Plan
    from testbed.results.report.bins import Bins
    from testbed.results.report.markup import Element
    from testbed.results.report.samples import Samples
    from testbed.results.timeline import Happening

_PARTS = 100
_LEAST_IN_PART = 10
_WIDE = 8
"""From which ratio of the greatest to the least latency on the axis is logarithmic."""

_IN_ONE_PANEL = 3


def over_time(stage: Stage) -> Iterator[Element]:
    """Figures of latency over the time of sending, one for what goes one way and one for what is answered."""
    for one_way in (True, False):
        group = [each for each in stage.together if each.messages.latency and each.messages.one_way is one_way]
        if group:
            yield _over_time(stage, group, "one-way delay" if one_way else "response time", one_way=one_way)


def _over_time(stage: Stage, group: Sequence[Samples], what: str, *, one_way: bool) -> Element:
    """The latency of workloads on the same axes: together in one panel what few send one way, else below each other.

    In one panel it shows what a loss does: in a TCP stream it delays all that is behind it, among datagrams nothing.
    """
    y, unit = _axis(group, [value for each in group for _, value in _asked_ns(stage, each)])
    together = [list(group)] if one_way and len(group) <= _IN_ONE_PANEL else [[each] for each in group]
    panels = []
    for one in together:
        label = f"{what}, {unit}" if len(together) == 1 else f"{one[0].workload.name}, {unit}"
        marks: list[Mark] = [_dots(stage, each, named=len(one) > 1) for each in one]
        marks += _levels([(stage, each) for each in one])
        marks += _losses(stage, one)
        panels.append(Panel(label=label, y=y, marks=marks, height=170 if len(one) > 1 else 120))
    title = f"{what.capitalize()} of {listed([each.workload.name for each in group])}"
    return stage.figure(title, panels, note=_note(group))


def _note(group: Sequence[Samples]) -> str:
    """How to read the dots of these workloads."""
    note = "At the time of sending."
    widths = {each.messages.latency.width for each in group if any(bin_.count > 1 for bin_ in each.messages.latency)}
    if widths:
        per = " or ".join(rows.duration(width) for width in sorted(widths))
        note += f" The mean of each {per}, with a stroke from the least to the greatest."
    if any(each.messages.one_way and each.senders for each in group) and not all(each.senders for each in group):
        note += " Where those of a TCP stream climb, all wait for a segment that was lost (head-of-line blocking)."
    return note


def twins(plan: Plan, group: Sequence[Samples], timeline: Sequence[Happening]) -> Iterator[Element]:
    """Workloads that sent alike, one way and at different times, each from its own beginning: their delays."""
    stages = [stage for each in group if (stage := Stage.of(plan, [each], timeline)) is not None]
    y, unit = _axis(group, [value for stage in stages for _, value in _asked_ns(stage, *stage.together)])
    marks: list[Mark] = []
    for style, stage in enumerate(stages):
        (each,) = stage.together
        marks.append(replace(_dots(stage, each, named=True), style=style))
    marks += _levels([(stage, each) for stage in stages for each in stage.together])
    losses = [rug for stage in stages for rug in _losses(stage, stage.together)]
    marks += [replace(rug, row=row) for row, rug in enumerate(losses)]
    x = Linear(low=0, high=max(stage.length_ns for stage in stages), unit=SECONDS, most_ticks=12)
    names = listed([each.workload.name for each in group])
    panel = Panel(label=f"one-way delay, {unit}", y=y, marks=marks, height=170)
    yield figure(f"One-way delay of {names}", x, "time since each began, s", [panel], note=_note(group))
    lines = [Line(name=each.workload.name, style=style, points=tail_points(each)) for style, each in enumerate(group)]
    yield tail_figure(f"Tail of the latency of {names}", lines)


def _levels(workloads: Sequence[tuple[Stage, Samples]]) -> list[Level]:
    """Lines at the delays that were asked for; one for all that were asked for the same."""
    found = {level.name: level for stage, each in workloads for level in stage.level(_asked_ns(stage, each))}
    return list(found.values())


def _dots(stage: Stage, samples: Samples, *, named: bool) -> Dots:
    latency = samples.messages.latency
    ranges = [(at, one.low, one.mean, one.high) for at, one in zip(stage.middles(latency), latency, strict=True)]
    return Dots(name=samples.workload.name if named else "", style=stage.style(samples), ranges=ranges)


def _losses(stage: Stage, together: Sequence[Samples]) -> list[Rug]:
    """Strokes where messages were sent that were lost, a row for each workload."""
    losing = [each for each in together if each.messages.lost_at]
    return [
        Rug(
            name="lost" if len(together) == 1 else f"lost of {each.workload.name}",
            positions=stage.middles(each.messages.lost_at),
            row=row,
        )
        for row, each in enumerate(losing)
    ]


def _axis(group: Sequence[Samples], asked_ns: Sequence[float]) -> tuple[Axis, str]:
    """An axis for the latencies of workloads and what to call its unit."""
    values = [value for each in group for one in each.messages.latency for value in (one.low, one.high)]
    high = max(*values, *asked_ns)
    least = min(value for value in (*values, *asked_ns) if value or value in values)
    unit = time_unit(high)
    if least > 0 and high > _WIDE * least:
        return Logarithmic(low=least * 0.7, high=high * 1.15, unit=unit), f"{unit.name}, logarithmic"
    return Linear.up_to(high, unit), unit.name


def _asked_ns(stage: Stage, samples: Samples) -> asked.Course:
    """What the links were asked to delay the messages of a workload, or they and their answers."""
    messages, workload = samples.messages, samples.workload
    if messages.one_way:
        ends = str(messages.sender), str(messages.receiver)
        return asked.one_way_ns(stage.plan, workload, *ends, stage.timeline)
    return asked.round_trip_ns(stage.plan, workload, stage.timeline)


def tail(stage: Stage) -> Iterator[Element]:
    """The complementary distribution of latencies; the lost never arrive, so a curve ends at their share."""
    curves = [(each, tail_points(each)) for each in stage.together if each.messages.latencies.count]
    if not curves:
        return
    marks = [
        Line(
            name=f"{each.workload.name} ({'one way' if each.messages.one_way else 'response'})",
            style=stage.style(each),
            points=points,
            steps=True,
        )
        for each, points in curves
    ]
    title = f"Tail of the latency of {listed([each.workload.name for each, _ in curves])}"
    yield tail_figure(title, marks)


def tail_points(samples: Samples) -> list[tuple[float, float]]:
    """Latencies, ns, each with the share of the messages sent that took longer, the lost among them."""
    sent = len(samples.messages)
    greater = samples.messages.latencies.greater()
    lost = sent - samples.messages.latencies.count
    return [(float(greater[0][0]), 1.0), *((float(value), (left + lost) / sent) for value, left in greater)]


def tail_figure(title: str, lines: Sequence[Line], *, note: str = "") -> Element:
    """A figure of curves of `tail_points`."""
    low = min(line.points[0][0] for line in lines)
    high = max(line.points[-1][0] for line in lines)
    unit = time_unit(high)
    x = Logarithmic(low=max(1, low) * 0.95, high=max(2, high) * 1.08, unit=unit)
    floor = min(share for line in lines for _, share in line.points if share)
    marks = []
    for line in lines:
        points = [(x.low, 1.0), *line.points]
        if points[-1][1]:
            points.append((x.high, points[-1][1]))
        marks.append(Line(name=line.name, style=line.style, points=points, steps=True, look=line.look))
    y = Percentiles(low=min(0.01, floor) * 0.8, high=1.0, unit=PERCENT)
    read = "How many of the messages sent took longer. What was lost never arrives: the curve stays at its share."
    panel = Panel(label="percentile · share that took longer, %, logarithmic", y=y, marks=marks, height=190)
    return figure(title, x, f"latency, {unit.name}, logarithmic", [panel], note=f"{read} {note}".rstrip())


def sequence(samples: Samples) -> Iterator[Element]:
    """What was lost, reordered and duplicated, over the sequence; nothing where all came, once and in order.

    Nor is there one of requests without an answer: that they were lost is seen over time, and they come one by one.
    """
    messages = samples.messages
    kinds = [
        ("lost", "bad", messages.lost),
        ("reordered", "odd", messages.reordered),
        ("duplicates", "also", messages.duplicated),
    ]
    if not (messages.reordered or messages.duplicated or (messages.lost and messages.one_way)):
        return
    panels = []
    if messages.lost and len(messages) >= _LEAST_IN_PART:
        bars = messages.loss(min(_PARTS, len(messages) // _LEAST_IN_PART))
        panels.append(
            Panel(
                label=f"loss, % of every {bars[0][1]}",
                y=Linear.up_to(max(value for _, _, value in bars), PERCENT),
                marks=[Columns(name="", bars=bars)],
                height=90,
            )
        )
    rugs = [
        Rug(name=name, kind=kind, row=row, positions=[one.start + bins.width / 2 for one in bins])
        for row, (name, kind, bins) in enumerate(each for each in reversed(kinds) if each[2])
    ]
    panels.append(Panel(label="each of them", y=Nothing(), marks=rugs[::-1], height=4))
    counts = ", ".join(f"{_total(bins)} {name}" for name, _, bins in kinds)
    x = Linear(low=0, high=len(messages), unit=ONE, most_ticks=10)
    yield figure(
        f"Loss and reordering of {samples.workload.name}",
        x,
        "sequence number",
        panels,
        note=f"Of {len(messages)} messages: {counts}.",
    )


def _total(bins: Bins) -> int:
    return sum(one.count for one in bins)
