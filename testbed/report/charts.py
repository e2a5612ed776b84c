"""Charts by Vega-Lite: each has an SVG for paper and browsers without scripts, and a specification for other browsers.

Colours are CSS variables of the page, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.report.axes import Axis
from testbed.report.marks import TICK_HEIGHT, Mark, Row, Swatch, Ticks, filtered
from testbed.report.vega import CONFIG, Y_LABELS, draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH = 912
"""Of a drawing, pixels; a chart with scripts is as wide as the page."""

SMALL_WIDTH = 292
_ROW = 14
_NAME_ROW = 24
_LETTER = 6.2
"""About how wide a letter of a label is, pixels."""

_MOST_LABELS = 24
_COLUMNS = ("mark", "x", "y", "x2", "low", "high", "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """An event of the timeline, marked by a vertical line through the charts."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A coordinate system.

    Attributes:
        label: what the y axis counts, with the unit.
        y: the y axis; None where there is nothing but ticks below.
        marks: later ones are drawn on top.
        height: of the plotting area without the ticks below, pixels.
    """

    label: str
    y: Axis | None
    marks: Sequence[Mark]
    height: int = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A panel as a page shows it.

    Attributes:
        label: above it.
        legend: of what has a name.
        svg: the drawing.
        specification: for vega-embed, JSON.
    """

    label: str
    legend: Sequence[Swatch]
    svg: str
    specification: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Charts with a caption.

    Attributes:
        title: what it shows, of what.
        note: how to read it.
        charts: from top to bottom; they share the x axis.
        group: charts of one group are zoomed together; empty for a figure by itself.
        columns: whether they are small ones side by side.
        folded: whether it is shown only when the reader opens it, and on paper.
    """

    title: str
    charts: Sequence[Chart]
    note: str = ""
    group: str = ""
    columns: bool = False
    folded: bool = False


def figure(
    title: str,
    x: Axis,
    x_label: str,
    panels: Sequence[Panel],
    *,
    note: str = "",
    events: Sequence[EventLine] = (),
    group: str = "",
) -> Figure:
    """Return a figure of panels above each other that share an x axis.

    Args:
        title: what the figure shows, of what.
        x: the axis, with both bounds.
        x_label: what it counts, with the unit.
        panels: from top to bottom.
        note: how to read it.
        events: marked in all panels.
        group: see `Figure`.
    """
    last = len(panels) - 1
    charts = [
        _chart(panel, x, x_label if number == last else None, events, labelled=number == 0, width=WIDTH)
        for number, panel in enumerate(panels)
    ]
    return Figure(title=title, charts=charts, note=note, group=group)


def multiples(
    title: str,
    x: Axis,
    x_label: str,
    panels: Sequence[Panel],
    *,
    note: str = "",
    events: Sequence[EventLine] = (),
    group: str = "",
    folded: bool = False,
) -> Figure:
    """Return a figure of small panels side by side, where events have no labels; see `figure`."""
    charts = [_chart(panel, x, x_label, events, labelled=False, width=SMALL_WIDTH) for panel in panels]
    return Figure(title=title, charts=charts, note=note, group=group, columns=True, folded=folded)


def by_name(
    title: str,
    values: Sequence[Mapping[str, object]],
    layers: Sequence[Mapping[str, object]],
    *,
    note: str = "",
    legend: Sequence[Swatch] = (),
) -> Figure:
    """Return a figure with a row for each name, whose layers have a nominal y axis (see `NAMES`).

    Args:
        title: what the figure shows.
        values: the data of layers that have none of their own.
        layers: of Vega-Lite.
        note: how to read it.
        legend: what the colours mean.
    """
    specification: dict[str, Any] = {
        "width": WIDTH,
        "height": {"step": _NAME_ROW},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 16, "right": 12, "top": 4, "bottom": 2},
        "data": {"values": [*values]},
        "layer": [*layers],
        "config": CONFIG | {"axisY": _NAMES_LOOK},
    }
    live = json.dumps(specification | {"width": "container"}, separators=(",", ":"))
    return Figure(
        title=title, note=note, charts=[Chart(label="", legend=legend, svg=draw(specification), specification=live)]
    )


_NAMES_LOOK = {"domain": False, "ticks": False, "labelColor": "var(--ink)", "labelLimit": 320, "labelPadding": 6}

NAMES: dict[str, Any] = {"field": "name", "type": "nominal", "sort": None, "axis": {"title": None}}
"""The y axis of `by_name`."""


def _chart(
    panel: Panel, x: Axis, x_label: str | None, events: Sequence[EventLine], *, labelled: bool, width: int
) -> Chart:
    y = panel.y or Axis(low=0, high=1)
    height = panel.height if panel.y else 0
    foot = max((TICK_HEIGHT * (mark.row + 1) + 3 for mark in panel.marks if isinstance(mark, Ticks)), default=0)
    layers = [
        filtered(layer, number, mark.swatch.name)
        for number, mark in enumerate(panel.marks)
        for layer in mark.layers(height)
    ]
    if events:
        layers += _event_lines(events, x, labelled=labelled)
    x_channel = {
        "field": "x",
        "type": "quantitative",
        **x.encoding(5 if width == SMALL_WIDTH else 12, bounds=("span[0]", "span[1]")),
    }
    x_channel["axis"] |= {"title": x_label, "labels": x_label is not None, "ticks": x_label is not None}
    y_channel = {"field": "y", "type": "quantitative", **y.encoding(max(2, height // 28))}
    y_channel["scale"]["range"] = [height, 0]
    if panel.y is None:
        y_channel["axis"] = None
    bounds = [bound / x.unit.worth for bound in (x.low or 0, x.high or 1)]
    specification: dict[str, Any] = {
        "width": width,
        "height": height + foot,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {
            "left": 0,
            "right": 12,
            "top": 4 + _ROW * (_label_rows(events, x) if labelled else 0),
            "bottom": 2,
        },
        "params": [{"name": "off", "value": []}, {"name": "span", "value": bounds}],
        "data": {"values": _csv(panel, x, y), "format": {"type": "csv", "parse": dict.fromkeys(_COLUMNS, "number")}},
        "layer": layers,
        "config": CONFIG,
    }
    for layer in specification["layer"]:
        _inherit(layer, x_channel, y_channel)
    return Chart(
        label=panel.label,
        legend=[mark.swatch for mark in panel.marks if mark.swatch.name],
        svg=draw(specification),
        specification=_for_scripts(specification, panel, x, y),
    )


def _inherit(layer: dict[str, Any], x: dict[str, Any], y: dict[str, Any]) -> None:
    """Give the channels of a layer the axes of its chart, unless it has its own."""
    for name, channel in (("x", x), ("y", y)):
        own = layer["encoding"].get(name)
        if own is not None and "scale" not in own and "value" not in own and "datum" not in own:
            layer["encoding"][name] = {**channel, "field": own["field"]}


def _csv(panel: Panel, x: Axis, y: Axis) -> str:
    """Return the rows of all marks as CSV, in the units of the axes."""
    lines = [",".join(_COLUMNS)]
    for number, mark in enumerate(panel.marks):
        lines += (_line(number, row, x, y) for row in mark.rows())
    return "\n".join(lines)


def _line(number: int, row: Row, x: Axis, y: Axis) -> str:
    part = "" if row.part is None else str(row.part)
    cells = [str(number), x.shown(row.x), y.shown(row.y), x.shown(row.x2), y.shown(row.low), y.shown(row.high), part]
    return ",".join(cells).rstrip(",")


_UP = {"type": "quantitative", "scale": None, "axis": None}


def _event_lines(events: Sequence[EventLine], x: Axis, *, labelled: bool) -> list[dict[str, Any]]:
    """Return lines at events and, above the first panel, their labels on rows without overlaps."""
    rows = _placed(events, x)
    values = [
        {"x": float(x.shown(event.at)), "label": event.label, "up": -(row * _ROW) - 4}
        for event, row in zip(events, rows, strict=True)
    ]
    line = {"type": "rule", "stroke": "var(--event)", "strokeDash": [5, 3], "clip": True}
    where = {"x": {"field": "x", "type": "quantitative"}}
    layers: list[dict[str, Any]] = [
        {"data": {"values": values}, "mark": line, "encoding": {**where, "tooltip": {"field": "label"}}}
    ]
    if labelled and len(events) <= _MOST_LABELS:
        text = {"type": "text", "align": "left", "dx": 3, "baseline": "bottom", "color": "var(--event)", "limit": 260}
        layers.append(
            {
                "data": {"values": values},
                "mark": text,
                "encoding": {**where, "y": {**_UP, "field": "up"}, "text": {"field": "label"}},
            }
        )
    return layers


def _placed(events: Sequence[EventLine], x: Axis) -> list[int]:
    """Return the row of each event's label."""
    ends: list[float] = []
    rows: list[int] = []
    span = (x.high or 1) - (x.low or 0)
    for event in events:
        left = (event.at - (x.low or 0)) / span * (WIDTH - Y_LABELS)
        row = next((number for number, end in enumerate(ends) if end < left), len(ends))
        ends[row : row + 1] = [left + _LETTER * len(event.label) + 10]
        rows.append(row)
    return rows


def _label_rows(events: Sequence[EventLine], x: Axis) -> int:
    return 0 if len(events) > _MOST_LABELS else max(_placed(events, x), default=-1) + 1


def _for_scripts(specification: dict[str, Any], panel: Panel, x: Axis, y: Axis) -> str:
    """Return a specification as wide as its place, with a tooltip of the point next to the pointer."""
    names = json.dumps([mark.swatch.name for mark in panel.marks])
    unit, of = f" {y.unit.name}".rstrip(), f" {x.unit.name}".rstrip()
    value = (
        f"format(datum.y, '.4~g') + '{unit}' + (datum.low != null && datum.low < datum.high ?"
        " '  (' + format(datum.low, '.4~g') + ' to ' + format(datum.high, '.4~g') + ')' : '')"
    )
    # What is next to the pointer is a cell around a point, whose datum is the point and not the row.
    values = "{title: (datum.datum || datum).title, value: (datum.datum || datum).value, at: (datum.datum || datum).at}"
    hover = {
        "transform": [
            {"filter": f"isValid(datum.y) && indexof(off, {names}[datum.mark]) < 0"},
            {"filter": "datum.x >= span[0] && datum.x <= span[1]"},
            {"calculate": f"{names}[datum.mark]", "as": "title"},
            {"calculate": value, "as": "value"},
            {"calculate": f"format(datum.x, '.6~g') + '{of}'", "as": "at"},
        ],
        "params": [
            {"name": "hover", "select": {"type": "point", "on": "pointermove", "clear": "pointerout", "nearest": True}}
        ],
        "mark": {
            "type": "point",
            "filled": True,
            "size": 46,
            "color": "var(--ink)",
            "clip": True,
            "tooltip": {"expr": values},
        },
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
            "opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0},
        },
    }
    live = {**specification, "width": "container"}
    if panel.y is not None:
        live["layer"] = [*specification["layer"], hover]
    return json.dumps(live, separators=(",", ":"))
