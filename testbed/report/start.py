"""A chart of the time to the first byte of all workloads that measure it, with the cost of connection set-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.analysis import formatting
from testbed.report import configured
from testbed.report.charts import NAMES, Figure, by_name
from testbed.report.display_units import display_unit
from testbed.report.marks import Swatch
from testbed.report.sampling import spread
from testbed.report.stage import alike, group_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.plan.model import Plan
    from testbed.workloads.summary import Summary

_LEAST = 2
_MOST = 40
_MOST_ROUND_TRIPS = 8
_SET_UP, _WAIT = "connection set-up", "until the first byte arrives"


def start(plan: Plan, summaries: Sequence[Summary]) -> Iterator[Figure]:
    """Yield the figure if there are at least two workloads to compare; similar ones are shown by their mean."""
    bars = spread([*_bars(plan, {summary.workload: summary for summary in summaries})], _MOST)
    if len(bars) < _LEAST:
        return
    unit = display_unit("ns", max(first for _, _, first in bars))
    values = []
    for name, set_up, first in bars:
        parts = [(_SET_UP, 0.0, set_up), (_WAIT, set_up, first)] if set_up else [(_WAIT, 0.0, first)]
        values += [
            {
                "name": name,
                "part": part,
                "from": begin / unit.worth,
                "to": end / unit.worth,
                "total": formatting.duration(first) if end == first else "",
                "said": f"{name}: {part} {formatting.duration(end - begin)}",
            }
            for part, begin, end in parts
        ]
    colours = {_SET_UP: "var(--s1)", _WAIT: "var(--s0)"}
    legend = [Swatch(name=name, symbol="block", colour=colour) for name, colour in colours.items()]
    layers = [*_bars_layers(unit.name), *_round_trips(plan, bars, unit.worth)]
    note = "From the first packet sent to the first payload at the other end."
    yield by_name("How soon the first byte arrives", values, layers, note=note, legend=legend)


def _bars(plan: Plan, summaries: dict[str, Summary]) -> Iterator[tuple[str, float, float]]:
    """Yield name, set-up time and time to the first byte, ns."""
    for group in alike(workload for workload in plan.workloads if workload.name in summaries):
        names = [workload.name for workload in group]
        times = [
            (min(_time(summaries[name], "setup_ns") or 0, first), first)
            for name in names
            if (first := _time(summaries[name], "first_byte_ns")) is not None
        ]
        if times:
            set_up, first = (sum(column) / len(times) for column in zip(*times, strict=True))
            yield f"{group_name(names)}{', mean' if len(names) > 1 else ''}", set_up, first


def _time(summary: Summary, name: str) -> float | None:
    value = summary.values.get(name)
    return value if isinstance(value, (int, float)) else None


def _bars_layers(unit: str) -> list[dict[str, Any]]:
    x = {"field": "from", "type": "quantitative", "axis": {"title": f"time since it began, {unit}", "tickCount": 10}}
    colour = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": [_SET_UP, _WAIT], "range": ["var(--s1)", "var(--s0)"]},
        "legend": None,
    }
    bar = {"type": "bar", "height": 12}
    text = {"type": "text", "align": "left", "dx": 6, "color": "var(--soft)"}
    return [
        {
            "mark": bar,
            "encoding": {"y": NAMES, "x": x, "x2": {"field": "to"}, "fill": colour, "tooltip": {"field": "said"}},
        },
        {"mark": text, "encoding": {"y": NAMES, "x": {**x, "field": "to"}, "text": {"field": "total"}}},
    ]


def _round_trips(plan: Plan, bars: Sequence[tuple[str, float, float]], worth: float) -> list[dict[str, Any]]:
    """Return layers of dotted lines at the configured round trips, if they are the same for all workloads."""
    trips = {configured.round_trip_ns(plan, workload)[0][1] for workload in plan.workloads}
    if len(trips) != 1 or not (trip_ns := trips.pop()):
        return []
    most = max(first for _, _, first in bars)
    count = min(int(most * 1.1 // trip_ns), _MOST_ROUND_TRIPS)
    values = [
        {"at": number * trip_ns / worth, "label": "1 configured round trip" if number == 1 else str(number)}
        for number in range(1, count + 1)
    ]
    if not values:
        return []
    x = {"field": "at", "type": "quantitative"}
    rule = {"type": "rule", "stroke": "var(--soft)", "strokeDash": [1, 3]}
    text = {"type": "text", "y": -6, "color": "var(--soft)", "baseline": "bottom"}
    return [
        {"data": {"values": values}, "mark": rule, "encoding": {"x": x}},
        {"data": {"values": values}, "mark": text, "encoding": {"x": x, "text": {"field": "label"}}},
    ]
