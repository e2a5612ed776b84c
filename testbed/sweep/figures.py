"""The plots of a sweep: a figure per metric, a small panel per combination of the factors beyond the second."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from testbed.results.report.axes import (
    ONE,
    PERCENT,
    Axis,
    Linear,
    Logarithmic,
    Unit,
    rate_unit,
    size_unit,
    time_unit,
)
from testbed.results.report.marks import STYLES, Dots, Frame, Line, Mark
from testbed.results.report.markup import Element, element
from testbed.results.report.plot import Panel, figure, multiples
from testbed.sweep import rows
from testbed.sweep.layout import Curve, Layout
from testbed.sweep.scale import is_wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from testbed.sweep.measures import Measure
    from testbed.sweep.outcome import Outcome

_HEIGHT = 230
_ROOM = 1.25
"""Beyond the least and the greatest value, on logarithmic axes."""

_MARGIN = 0.05
_APART = 0.07
"""How far labels of the x axis are from each other at least, as a part of it."""

_ARM = 4
_UNITS: Mapping[str, Callable[[float], Unit]] = {
    "ns": time_unit,
    "bit/s": rate_unit,
    "bytes": size_unit,
    "ratio": lambda _: PERCENT,
}
_MARKERS = ("circles", "squares", "triangles", "diamonds", "triangles on their tips", "bars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """An axis with a tick at each value that was tried, as it is written."""

    values: Mapping[str, float]
    logarithmic: bool

    def at(self, value: float) -> float:
        """See `Axis`."""
        low, high, here = (self._scaled(one) for one in (min(self.values.values()), max(self.values.values()), value))
        return _MARGIN + (1 - 2 * _MARGIN) * ((here - low) / (high - low) if high > low else 0.5)

    def _scaled(self, value: float) -> float:
        return log(value) if self.logarithmic else value

    def ticks(self) -> list[tuple[float, str]]:
        """See `Axis`."""
        found: list[tuple[float, str]] = []
        for label, value in sorted(self.values.items(), key=lambda item: item[1]):
            if not found or self.at(value) - self.at(found[-1][0]) >= _APART:
                found.append((value, label))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Means of cells, each with its interval, joined by a line: `(x, low, mean, high)`."""

    name: str
    style: int
    points: Sequence[tuple[float, float, float, float]]

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        yield from self._line.draw(frame)
        yield from self._dots.draw(frame)

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield from self._line.sample(x, y)
        yield from self._dots.sample(x - 6, y)

    @property
    def _line(self) -> Line:
        return Line(name="", style=self.style, points=[(x, mean) for x, _, mean, _ in self.points])

    @property
    def _dots(self) -> Dots:
        return Dots(name="", style=self.style, ranges=self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosses:
    """Crosses at single runs that are not trusted."""

    name: str
    points: Sequence[tuple[float, float]]

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        yield self._crosses([(frame.across(x), frame.up(y)) for x, y in self.points])

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield self._crosses([(x + 18, y)])

    def _crosses(self, points: Sequence[tuple[float, float]]) -> Element:
        wide = 2 * _ARM
        strokes = (f"M{x - _ARM:.1f} {y - _ARM:.1f}l{wide} {wide}m0 {-wide}l{-wide} {wide}" for x, y in points)
        return element("path", d="".join(strokes), class_="rug bad")


def figures(outcome: Outcome) -> Iterator[Element]:
    """A figure for each measure that any run has."""
    layout = Layout.of(outcome.matrix)
    order = outcome.matrix.factors[layout.x]
    values = layout.scale.values if layout.scale else {level: number for number, level in enumerate(order)}
    x = Levels(values=values, logarithmic=layout.is_logarithmic)
    x_label = f"{layout.x}{', logarithmic' if layout.is_logarithmic else ''}"
    groups = _groups(outcome, layout)
    for measure in outcome.measures:
        marks = {name: _marks(outcome, layout, measure, curves) for name, curves in groups.items()}
        drawn = [mark for each in marks.values() for mark in each]
        if not drawn:
            continue
        y, y_label = _y_axis(measure, drawn)
        title = f"{measure.label} by {layout.x}"
        if len(groups) == 1:
            [alone] = marks.values()
            panel = Panel(label=y_label, y=y, marks=alone, height=_HEIGHT)
            yield figure(title, x, x_label, [panel], note=_NOTE)
        else:
            panels = [Panel(label=name, y=y, marks=each) for name, each in marks.items()]
            note = f"Of each panel the y axis is {y_label}. {_in_words(drawn)} {_NOTE}"
            yield multiples(title, x, x_label, panels, note=note)


_NOTE = "The mean over runs, with its 95 % interval (Student's t over runs)."


def _groups(outcome: Outcome, layout: Layout) -> dict[str, list[Curve]]:
    """The curves of each panel, by its name."""
    found: dict[str, list[Curve]] = {}
    for curve in layout.curves(outcome.matrix):
        own = {path: curve.levels[path] for path in layout.of_panels}
        found.setdefault(rows.levels_text(outcome.matrix, own), []).append(curve)
    return found


def _marks(outcome: Outcome, layout: Layout, measure: Measure, curves: Sequence[Curve]) -> list[Mark]:
    """The curves of a panel, and crosses at runs that are not trusted."""
    order = outcome.matrix.factors[layout.x]
    marks: list[Mark] = []
    untrusted: list[tuple[float, float]] = []
    for style, curve in enumerate(curves):
        points = []
        for cell in curve.cells:
            at, estimate = layout.at(cell, order), outcome.estimate(cell, measure)
            if estimate is not None:
                low, high = estimate.interval or (estimate.mean, estimate.mean)
                points.append((at, low, estimate.mean, high))
            values = [measure.of(run) for _, run in outcome.trials(cell) if not run.trusted]
            untrusted += [(at, value) for value in values if value is not None]
        if points:
            name = curve.levels[layout.of_curves] if layout.of_curves else ""
            marks.append(Estimates(name=name, style=style, points=points))
    if untrusted:
        marks.append(Crosses(name="a run that is not trusted", points=untrusted))
    return marks


def _y_axis(measure: Measure, marks: Sequence[Mark]) -> tuple[Axis, str]:
    """An axis for all that is drawn, and what to call it."""
    estimates = [point for mark in marks if isinstance(mark, Estimates) for point in mark.points]
    means = [mean for _, _, mean, _ in estimates]
    singles = [y for mark in marks if isinstance(mark, Crosses) for _, y in mark.points]
    most = max([*(high for _, _, _, high in estimates), *singles])
    unit = _UNITS[measure.metric.unit](most) if measure.metric.unit in _UNITS else ONE
    label = f"{measure.label}, {unit.name or measure.metric.unit}"
    if is_wide(means):
        return Logarithmic(low=min([*means, *singles]) / _ROOM, high=most * _ROOM, unit=unit), f"{label}, logarithmic"
    return Linear.up_to(most, unit), label


def _in_words(marks: Sequence[Mark]) -> str:
    """The legend as a sentence."""
    names = {mark.name: _MARKERS[mark.style % STYLES] for mark in marks if isinstance(mark, Estimates) and mark.name}
    names |= {mark.name: "crosses" for mark in marks if isinstance(mark, Crosses)}
    return f"{'; '.join(f'{marker}: {name}' for name, marker in names.items())}.".capitalize() if names else ""
