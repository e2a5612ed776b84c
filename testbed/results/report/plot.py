"""A figure: panels above each other that share the x axis, or small ones side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.results.report.marks import RUG_HEIGHT, Frame, Rug
from testbed.results.report.markup import Element, drawing, element, path, text, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.results.report.axes import Axis
    from testbed.results.report.marks import Mark

WIDTH = 880
_LEFT, _RIGHT = 64, 14
_ROW = 17
_SAMPLE = 30
_X_LABELS = 36
_GAP = 14
_HEIGHT = 150
_SMALL = 11
_ABREAST = 3
_SMALL_HEIGHT = 76
_SMALL_LEFT = 46
_SMALL_ROW = 138


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something happened, on the x axis, and what."""

    at: float
    label: str


def figure(
    title: str,
    x: Axis,
    x_label: str,
    panels: Sequence[Panel],
    *,
    note: str = "",
    moments: Sequence[Moment] = (),
) -> Element:
    """A figure with its caption.

    Args:
        title: what it shows; of what.
        x: the axis that the panels share.
        x_label: what it counts, with the unit.
        panels: from top to bottom.
        note: how to read it.
        moments: marked by lines through all panels.
    """
    parts: list[Element] = []
    top = 0.0
    for number, panel in enumerate(panels):
        legend, rows = _legend(panel, top)
        top += rows * _ROW + 6
        labels: list[Element] = []
        if not number:
            labels, height = _moment_labels(moments, x, top)
            top += height
        foot = max((RUG_HEIGHT * (mark.row + 1) for mark in panel.marks if isinstance(mark, Rug)), default=0)
        frame = Frame(
            left=_LEFT, top=top, width=WIDTH - _LEFT - _RIGHT, height=panel.height + foot, x=x, y=panel.y, foot=foot
        )
        last = number == len(panels) - 1
        parts += [*legend, *_grid(frame, labelled=last), *labels]
        parts += [path([(at, frame.top), (at, frame.bottom)], "moment") for at in map(frame.across, _times(moments))]
        parts += [shape for mark in panel.marks for shape in mark.draw(frame)]
        parts.append(path([(frame.left, frame.bottom), (frame.right, frame.bottom)], "axis"))
        top = frame.bottom + (0 if last else _GAP)
    parts.append(text(WIDTH - _RIGHT, top + 31, x_label, "small end"))
    return _captioned(title, note, drawing(WIDTH, top + _X_LABELS, title, *parts, class_="plot"))


def multiples(title: str, x: Axis, x_label: str, panels: Sequence[Panel], *, note: str = "") -> Element:
    """Small panels side by side, row after row, each with the x axis of its own and without a legend; see `figure`."""
    parts: list[Element] = []
    cell = WIDTH / _ABREAST
    for number, panel in enumerate(panels):
        row, column = divmod(number, _ABREAST)
        frame = Frame(
            left=column * cell + _SMALL_LEFT,
            top=row * _SMALL_ROW + _ROW + 4,
            width=cell - _SMALL_LEFT - _RIGHT,
            height=_SMALL_HEIGHT,
            x=x,
            y=panel.y,
        )
        parts += [text(column * cell + 4, row * _SMALL_ROW + 12, panel.label, "label"), *_grid(frame, labelled=True)]
        parts += [shape for mark in panel.marks for shape in mark.draw(frame)]
        parts.append(path([(frame.left, frame.bottom), (frame.right, frame.bottom)], "axis"))
    rows = -(-len(panels) // _ABREAST)
    height = rows * _SMALL_ROW
    parts.append(text(WIDTH - _RIGHT, height - 8, x_label, "small end"))
    return _captioned(title, note, drawing(WIDTH, height, title, *parts, class_="plot"))


def _captioned(title: str, note: str, drawn: Element) -> Element:
    return element("figure", element("figcaption", element("b", title), f" {note}" if note else None), drawn)


def _times(moments: Sequence[Moment]) -> Iterator[float]:
    return (moment.at for moment in moments)


def _moment_labels(moments: Sequence[Moment], x: Axis, top: float) -> tuple[list[Element], float]:
    """The labels of moments, each with its line down, on rows so that none meets another's; and their height."""
    ends: list[float] = []
    placed: list[tuple[float, int, str]] = []
    for moment in sorted(moments, key=lambda each: each.at):
        at = _LEFT + (WIDTH - _LEFT - _RIGHT) * x.at(moment.at)
        width = width_of(moment.label, _SMALL)
        left = min(at + 4, WIDTH - width)
        row = max((number + 1 for number, end in enumerate(ends) if end >= left), default=0)
        ends[row : row + 1] = [left + width + 8]
        placed.append((at, row, moment.label))
    height = _ROW * len(ends)
    parts = []
    for at, row, label in placed:
        y = top + _ROW * row + 12
        parts.append(path([(at, y - 9), (at, top + height)], "moment"))
        if at + 4 + width_of(label, _SMALL) > WIDTH:
            parts.append(text(WIDTH, y, label, "small moment end"))
        else:
            parts.append(text(at + 4, y, label, "small moment"))
    return parts, height


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
            needed = _SAMPLE + width_of(mark.name, _SMALL) + 14
            if needed > room and rows[-1]:
                rows.append([])
                room = WIDTH - _RIGHT - label_width
            rows[-1].append(mark)
            room -= needed
    parts = [text(0, top + 12, panel.label, "label")]
    for number, row in enumerate(rows):
        x = WIDTH - _RIGHT - sum(_SAMPLE + width_of(mark.name, _SMALL) + 14 for mark in row) + 14
        y = top + 12 + _ROW * number
        for mark in row:
            parts += [*mark.sample(x, y - 4), text(x + _SAMPLE, y, mark.name, "small")]
            x += _SAMPLE + width_of(mark.name, _SMALL) + 14
    return parts, len(rows)
