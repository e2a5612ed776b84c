"""A figure: panels above each other that share the x axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.results.report.marks import RUG_HEIGHT, Frame, Rug
from testbed.results.report.markup import Element, drawing, element, path, text, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.results.report.axes import Axis
    from testbed.results.report.marks import Mark

WIDTH = 880
_LEFT, _RIGHT = 64, 14
_ROW = 17
_SAMPLE = 30
_X_LABELS = 36
_GAP = 14
_HEIGHT = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One coordinate system.

    Attributes:
        label: what the y axis counts, with the unit.
        y: the y axis.
        marks: what is drawn, later ones on top.
        height: of the plotting area without the rugs, pixels.
    """

    label: str
    y: Axis
    marks: Sequence[Mark]
    height: float = _HEIGHT


def figure(title: str, x: Axis, x_label: str, panels: Sequence[Panel], *, note: str = "") -> Element:
    """A figure with its caption.

    Args:
        title: what it shows; of what.
        x: the axis that the panels share.
        x_label: what it counts, with the unit.
        panels: from top to bottom.
        note: how to read it.
    """
    parts: list[Element] = []
    top = 0.0
    for number, panel in enumerate(panels):
        legend, rows = _legend(panel, top)
        top += rows * _ROW + 6
        foot = max((RUG_HEIGHT * (mark.row + 1) for mark in panel.marks if isinstance(mark, Rug)), default=0)
        height = panel.height + foot
        frame = Frame(left=_LEFT, top=top, width=WIDTH - _LEFT - _RIGHT, height=height, x=x, y=panel.y, foot=foot)
        last = number == len(panels) - 1
        parts += [*legend, *_grid(frame, labelled=last)]
        parts += [shape for mark in panel.marks for shape in mark.draw(frame)]
        parts.append(path([(frame.left, frame.bottom), (frame.right, frame.bottom)], "axis"))
        top = frame.bottom + (0 if last else _GAP)
    parts.append(text(WIDTH - _RIGHT, top + 31, x_label, "small end"))
    drawn = drawing(WIDTH, top + _X_LABELS, title, *parts, class_="plot")
    caption = element("figcaption", element("b", title), f" {note}" if note else None)
    return element("figure", caption, drawn)


def _grid(frame: Frame, *, labelled: bool) -> list[Element]:
    """Grid lines and the labels of ticks; those of the x axis only where it is `labelled`."""
    parts = []
    for value, label in frame.y.ticks():
        y = frame.up(value)
        parts += [path([(frame.left, y), (frame.right, y)], "grid"), text(frame.left - 6, y + 4, label, "tick end")]
    for value, label in frame.x.ticks():
        x = frame.across(value)
        parts.append(path([(x, frame.top), (x, frame.bottom)], "grid"))
        if labelled:
            parts.append(text(x, frame.bottom + 15, label, "tick middle"))
    return parts


def _legend(panel: Panel, top: float) -> tuple[list[Element], int]:
    """The label of the y axis and, to its right, what the marks mean; on how many rows."""
    label_width = width_of(panel.label) + 24
    rows: list[list[Mark]] = [[]]
    room = WIDTH - _RIGHT - label_width
    for mark in panel.marks:
        if mark.name:
            needed = _SAMPLE + width_of(mark.name) + 14
            if needed > room and rows[-1]:
                rows.append([])
                room = WIDTH - _RIGHT - label_width
            rows[-1].append(mark)
            room -= needed
    parts = [text(0, top + 12, panel.label, "label")]
    for number, row in enumerate(rows):
        x = WIDTH - _RIGHT - sum(_SAMPLE + width_of(mark.name) + 14 for mark in row) + 14
        y = top + 12 + _ROW * number
        for mark in row:
            parts += [*mark.sample(x, y - 4), text(x + _SAMPLE, y, mark.name, "small")]
            x += _SAMPLE + width_of(mark.name) + 14
    return parts, len(rows)
