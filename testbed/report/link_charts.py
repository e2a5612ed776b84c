"""What crossed the links of a run over time, beside what is requested of them: throughput, queue, drops."""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING, Any

from testbed.analysis import formatting, link_counts
from testbed.engines.counters import DROPS
from testbed.impairments import FixedRate, Opportunities
from testbed.records import RecordError
from testbed.report.axes import Axis
from testbed.report.charts import Figure, Panel
from testbed.report.display_units import COUNT, display_unit
from testbed.report.marks import Level, Lines, Mark
from testbed.report.stage import ReportStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.analysis.link_counts import LinkHistory, RecordedLinks, Total
    from testbed.impairments import Bottleneck, Impairments
    from testbed.report.cells import Cells
    from testbed.runs.run import Run

_MOST = 6
"""Links with charts."""

_MOST_LINES = 20
"""Links in the table; the sum of the others is a line below."""

_BITS = 8
_SECOND = 1_000_000_000
_UNLIKE = 20
"""A rate or a limit so many times as great as what was measured is told in words; a line would flatten the chart."""

_MOST_STEPS = 400
"""Of the line of a trace."""

Steps = list[tuple[int, float]]
"""`(time, value)`: the value from that time on, ns of CLOCK_MONOTONIC."""


def links_over_time(run: Run) -> dict[str, Any]:
    """Return the table of what crossed the links, and the figures of the busiest ones; both empty without a record."""
    nothing: dict[str, Any] = {"head": [], "lines": [], "figures": []}
    if run.link_counts is None:
        return nothing
    try:
        found = link_counts.read(run.path / run.link_counts.file, _MOST)
    except (OSError, RecordError, ValueError) as error:
        return nothing | {"figures": [f"The counters of links can't be shown: {error}"]}
    if found is None:
        return nothing
    return {**_table(found), "figures": [*_figures(run, found)]}


def _table(found: RecordedLinks) -> dict[str, Any]:
    reasons = {name: words for name, words in DROPS.items() if any(grown[name] for grown in found.totals.values())}
    has_in = any(grown["packets_in"] for grown in found.totals.values())
    has_marks = any(grown["marked"] for grown in found.totals.values())
    columns = [
        *(["packets_in"] if has_in else []),
        "packets_out",
        "bytes_out",
        *reasons,
        *(["marked"] if has_marks else []),
    ]
    heads = {"packets_in": "packets in", "packets_out": "packets out", "bytes_out": "bytes out"} | reasons

    def cells(name: str, grown: dict[str, int], queued: int | None) -> Cells:
        figures = [formatting.size(grown[key]) if key == "bytes_out" else f"{grown[key]:,}" for key in columns]
        return [name, *figures, formatting.NOT_APPLICABLE if queued is None else formatting.size(queued)]

    links = list(found.totals)
    lines = [cells(link, found.totals[link], found.most_queued_bytes.get(link)) for link in links[:_MOST_LINES]]
    if others := links[_MOST_LINES:]:
        summed = {key: sum(found.totals[link][key] for link in others) for key in columns}
        lines.append(cells(f"{len(others)} more", summed, None))
    return {"head": ["link", *(heads.get(key, key) for key in columns), "most queued"], "lines": lines}


def _figures(run: Run, found: RecordedLinks) -> Iterator[Figure | str]:
    origin_ns = run.starts[0].start_ns if run.starts else found.begun_ns
    stage = ReportStage(
        plan=run.plan,
        groups=(),
        origin_ns=origin_ns,
        length_ns=max(1, found.ended_ns - origin_ns),
        timeline=run.timeline,
        clock="time since the workloads began, s",
        key="links",
    )
    if (left_out := len(found.totals) - len(found.busiest)) > 0:
        yield f"Charts of the {len(found.busiest)} links that carried most; the table has the others ({left_out})."
    for history in found.busiest:
        requested = _requested(run, history.link, origin_ns)
        notes: list[str] = []
        panels = [
            _throughput(stage, history, requested, notes),
            *_queue(stage, history, requested, notes),
            *_drops(stage, history),
        ]
        yield stage.figure(history.link, panels, note=" ".join(notes))


def _requested(run: Run, link: str, origin_ns: int) -> list[tuple[int, Impairments]]:
    """Return what is requested of a link, each with the time from which on it is, ns."""
    at_first = {str(each.key): each.impairments for each in run.statistics_before}
    steps = [(origin_ns, at_first[link])] if link in at_first else []
    for event, happened in zip(run.plan.timeline, run.timeline, strict=False):  # a run that failed has not seen all
        steps += [(happened.begun_ns, change.impairments) for change in event.changes if str(change.key) == link]
    return steps


def _throughput(
    stage: ReportStage, history: LinkHistory, requested: Sequence[tuple[int, Impairments]], notes: list[str]
) -> Panel:
    came, left = (history.totals.get(name) for name in ("bytes_in", "bytes_out"))
    marks: list[Mark] = []
    if came:
        marks.append(Lines(name="in", style=1, lines=[_points(stage, came, _BITS)], steps=True, look="thin"))
    if left:
        marks.append(Lines(name="out", style=0, lines=[_points(stage, left, _BITS)], steps=True))
    most = _most(marks)
    rates = [(at_ns, _rate(one.bottleneck, at_ns, until_ns)) for at_ns, one, until_ns in _spans(stage, requested)]
    steps = [*chain.from_iterable(steps for _, steps in rates)]
    kinds = [_rate_text(one.bottleneck) for _, one, _ in _spans(stage, requested) if one.bottleneck]
    level, most = _level(stage, f"rate {formatting.one_after_another(kinds)}", steps, most, notes)
    unit = display_unit("bit/s", most)
    return Panel(label=f"throughput, {unit.name}", y=Axis(unit=unit), marks=[*marks, *level], height=110)


def _queue(
    stage: ReportStage, history: LinkHistory, requested: Sequence[tuple[int, Impairments]], notes: list[str]
) -> Iterator[Panel]:
    bins = history.queued_bytes
    most = max((one.high for one in bins), default=0.0)
    if not most:
        return
    spans = _spans(stage, requested)
    steps = [(at_ns, float(one.bottleneck.queue_bytes if one.bottleneck else 0)) for at_ns, one, _ in spans]
    limits = [formatting.size(value) for _, value in steps if value]
    level, most = _level(stage, f"limit {formatting.one_after_another(limits)}", steps, most, notes)
    unit = display_unit("bytes", most)
    curve = stage.curve(bins, 2, name="waiting", band=True)
    yield Panel(label=f"queue, {unit.name}", y=Axis(unit=unit), marks=[curve, *level], height=90)


def _drops(stage: ReportStage, history: LinkHistory) -> Iterator[Panel]:
    marks = [
        Lines(name=words, style=number, lines=[_points(stage, total, 1)], steps=True)
        for number, (words, total) in enumerate(history.drops().items())
    ]
    if marks:
        yield Panel(label="packets dropped per s", y=Axis(unit=COUNT), marks=marks, height=80)


def _points(stage: ReportStage, total: Total, factor: int) -> list[tuple[float, float]]:
    return [(at_ns - stage.origin_ns, factor * value) for at_ns, value in total.per_second()]


def _most(marks: Sequence[Mark]) -> float:
    return max((row.y for mark in marks for row in mark.rows() if row.y is not None), default=0.0)


def _spans(stage: ReportStage, requested: Sequence[tuple[int, Impairments]]) -> list[tuple[int, Impairments, int]]:
    """Return what is requested, with the times at which it begins and ends."""
    ends = [at_ns for at_ns, _ in requested[1:]] + [stage.origin_ns + stage.length_ns] * bool(requested)
    return [(at_ns, one, until_ns) for (at_ns, one), until_ns in zip(requested, ends, strict=True)]


def _level(stage: ReportStage, name: str, steps: Steps, most: float, notes: list[str]) -> tuple[list[Level], float]:
    """Return the line of what is requested, if it can be drawn beside values up to `most`, and the greatest of all."""
    highest = max((value for _, value in steps), default=0)
    if not highest:
        return [], most
    if highest > _UNLIKE * max(most, 1):
        notes.append(f"Its {name} is far above.")
        return [], most
    points = [(max(0.0, at_ns - stage.origin_ns), value) for at_ns, value in steps]
    return [Level(name=name, steps=[*points, (stage.length_ns, points[-1][1])])], max(most, highest)


def _rate_text(bottleneck: Bottleneck) -> str:
    if isinstance(bottleneck.rate, FixedRate):
        return formatting.rate(bottleneck.rate.bps)
    return f"by trace, {formatting.rate(bottleneck.rate.mean_bps)} on average"


def _rate(bottleneck: Bottleneck | None, since_ns: int, until_ns: int) -> Steps:
    """Return the rate of a bottleneck that begins at a time; 0 stands for no limit."""
    if bottleneck is None:
        return [(since_ns, 0.0)]
    rate = bottleneck.rate
    if isinstance(rate, FixedRate):
        return [(since_ns, float(rate.bps))]
    length_ns = max(1, until_ns - since_ns)
    if isinstance(rate, Opportunities):
        width_ns = max(link_counts.FINEST_NS, length_ns // _MOST_STEPS)

        def sent(after_ns: int) -> int:
            periods, rest_ns = divmod(after_ns, rate.period_ns)
            return periods * len(rate.times_ns) + bisect_right(rate.times_ns, rest_ns)

        starts = range(0, length_ns, width_ns)
        counted = [(start, sent(start + width_ns) - sent(start)) for start in starts]
        return [(since_ns + start, count * rate.frame_bytes * _BITS * _SECOND / width_ns) for start, count in counted]
    steps: Steps = []
    for period in range(length_ns // rate.period_ns + 1):
        begin_ns = since_ns + period * rate.period_ns
        steps += [(begin_ns + start, float(bps)) for start, bps in zip(rate.starts_ns, rate.rates_bps, strict=True)]
        if len(steps) > _MOST_STEPS:
            return [(since_ns, float(rate.mean_bps))]
    return [step for step in steps if step[0] < until_ns]
