"""The marks of a chart: each provides rows of data and the Vega-Lite layers that draw them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Layer = dict[str, Any]
    """A unit specification of Vega-Lite (https://vega.github.io/vega-lite/docs/spec.html)."""

    Points = Sequence[tuple[float, float]]

STYLES = 6
"""Colours of series, each with its own dash pattern for readers and printers that can't distinguish colours."""

DASHES = ((1, 0), (7, 3), (2, 2.5), (9, 3, 2, 3), (4, 2), (12, 4))
TICK_HEIGHT = 11
_X = {"field": "x", "type": "quantitative"}
_Y = {"field": "y", "type": "quantitative"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a chart's data, in the units of the values.

    Attributes:
        x, y: position; `y` is None at a gap in a line.
        x2: end of a bar.
        low, high: minimum and maximum of the values that `y` is the mean of.
        part: number of the line within its mark.
    """

    x: float
    y: float | None
    x2: float | None = None
    low: float | None = None
    high: float | None = None
    part: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swatch:
    """The entry of a series in a legend.

    Attributes:
        symbol: `line`, `faint`, `dot`, `tick`, `cross`, `block` or `dotted`.
        colour: CSS.
        dash: the pattern of a line.
    """

    name: str
    symbol: str = "line"
    colour: str = "var(--soft)"
    dash: Sequence[float] = (1, 0)

    @classmethod
    def of_style(cls, name: str, style: int, symbol: str = "line") -> Swatch:
        """Return the legend entry of a series of this style."""
        return cls(name=name, symbol=symbol, colour=f"var(--s{style % STYLES})", dash=DASHES[style % STYLES])


class Mark(Protocol):
    """An element of a chart."""

    @property
    def swatch(self) -> Swatch:
        """The legend entry. The reader can switch named marks off; the name is empty if the chart needs no legend."""

    def rows(self) -> Iterator[Row]:
        """The data."""

    def layers(self, height: float) -> Iterator[Layer]:
        """Return the layers for a plotting area of that height in pixels. The chart adds the data to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Styled:
    """A mark of a series.

    Attributes:
        name: see `Mark`.
        style: number of its colour and dash pattern, the same in all charts of a stage.
    """

    name: str = ""
    style: int = 0

    @property
    def colour(self) -> str:
        """CSS."""
        return f"var(--s{self.style % STYLES})"

    @property
    def dash(self) -> list[float]:
        """The dash pattern of lines."""
        return [*DASHES[self.style % STYLES]]

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch.of_style(self.name, self.style)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(_Styled):
    """One line, or several of the same look.

    Attributes:
        lines: points of each line.
        steps: whether a value holds until the next one.
        look: `thin` for less important lines, `faint` for single lines among many.
    """

    lines: Sequence[Points]
    steps: bool = False
    look: str = ""

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch.of_style(self.name, self.style, "faint" if self.look == "faint" else "line")

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        for part, points in enumerate(self.lines):
            yield from (Row(x=x, y=y, part=part) for x, y in points)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`."""
        del height
        width, opacity = {"": (1.8, 1.0), "thin": (1.2, 1.0), "faint": (1.0, 0.35)}[self.look]
        mark = {
            "type": "line",
            "stroke": self.colour,
            "strokeWidth": width,
            "strokeOpacity": opacity,
            "strokeDash": [1, 0] if self.look == "faint" else self.dash,
            "interpolate": "step-after" if self.steps else "linear",
            "clip": True,
        }
        detail = {"detail": {"field": "part", "type": "nominal"}} if len(self.lines) > 1 else {}
        yield {"mark": mark, "encoding": {"x": _X, "y": _Y, "order": {"value": None}, **detail}}
        if all(len(points) == 1 for points in self.lines):  # a line of one point would be invisible
            yield _broken_line("[datum.y, datum.y, null]", stroke=self.colour, strokeWidth=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges(_Styled):
    """Means as dots, each with a stroke from the minimum to the maximum of its values.

    Attributes:
        ranges: `(x, low, mean, high)`.
        joined: whether a line joins the means.
        band: whether to draw an area from minimum to maximum and a line of the means instead of strokes and dots.
    """

    ranges: Sequence[tuple[float, float, float, float]]
    joined: bool = False
    band: bool = False

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch.of_style(self.name, self.style, "line" if self.joined or self.band else "dot")

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        yield from (Row(x=x, y=mean, low=low, high=high) for x, low, mean, high in self.ranges)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`. Strokes and dots are one path each, with gaps: a tenth of the size of a path per dot."""
        del height
        ends = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}
        if self.band:
            mark: dict[str, Any] = {"type": "area", "fill": self.colour, "fillOpacity": 0.2, "clip": True}
            yield {"mark": mark, "encoding": {"x": _X, **ends}}
        else:
            yield _broken_line("[datum.low, datum.high, null]", stroke=self.colour, strokeWidth=1.2, strokeOpacity=0.5)
        if self.band or self.joined:
            mark = {"type": "line", "stroke": self.colour, "strokeWidth": 1.8, "strokeDash": self.dash, "clip": True}
            yield {"mark": mark, "encoding": {"x": _X, "y": _Y}}
        if not self.band:
            width = 6 if self.joined else 3.6
            yield _broken_line("[datum.y, datum.y, null]", stroke=self.colour, strokeWidth=width)


def _broken_line(ends: str, **look: object) -> Layer:
    """Return a path with a segment per row; a segment without length is a dot."""
    return {
        "transform": [{"calculate": ends, "as": "end"}, {"flatten": ["end"]}],
        "mark": {"type": "line", "strokeCap": "round", "clip": True, **look},
        "encoding": {"x": _X, "y": {"field": "end", "type": "quantitative"}, "order": {"value": None}},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars from zero up.

    Attributes:
        bars: `(start, end, value)` of each.
    """

    bars: Sequence[tuple[float, float, float]]
    name: str = ""
    colour: str = "var(--bad)"

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch(name=self.name, symbol="dot", colour=self.colour)

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        yield from (Row(x=start, x2=end, y=value) for start, end, value in self.bars)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`."""
        del height
        mark = {"type": "bar", "fill": self.colour, "clip": True}
        yield {"mark": mark, "encoding": {"x": _X, "x2": {"field": "x2"}, "y": _Y, "y2": {"datum": 0}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A dotted line at a configured value, with steps where it changed.

    Attributes:
        steps: `(x, value)` from each x on.
    """

    name: str
    steps: Points
    colour: str = "var(--soft)"

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch(name=self.name, symbol="dotted", colour=self.colour)

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        yield from (Row(x=x, y=value) for x, value in self.steps)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`."""
        del height
        look = {"stroke": self.colour, "strokeDash": [1, 3], "strokeWidth": 1.4, "clip": True}
        yield {"mark": {"type": "line", "interpolate": "step-after", **look}, "encoding": {"x": _X, "y": _Y}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """Strokes below the plot, one for each occurrence.

    Attributes:
        positions: of the strokes on the x axis.
        row: the number of the row, from the top.
    """

    name: str
    positions: Sequence[float]
    row: int = 0
    colour: str = "var(--bad)"

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch(name=self.name, symbol="tick", colour=self.colour)

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        yield from (Row(x=x, y=None) for x in self.positions)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`."""
        top = height + TICK_HEIGHT * self.row + 3
        ends = {"y": {"value": top}, "y2": {"value": top + TICK_HEIGHT - 3}}
        mark = {"type": "rule", "stroke": self.colour, "strokeWidth": 1.2, "clip": True}
        yield {"mark": mark, "encoding": {"x": _X, **ends}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosses:
    """Crosses at single values that need attention."""

    name: str
    points: Points
    colour: str = "var(--bad)"

    @property
    def swatch(self) -> Swatch:
        """See `Mark`."""
        return Swatch(name=self.name, symbol="cross", colour=self.colour)

    def rows(self) -> Iterator[Row]:
        """See `Mark`."""
        yield from (Row(x=x, y=y) for x, y in self.points)

    def layers(self, height: float) -> Iterator[Layer]:
        """See `Mark`."""
        del height
        mark = {"type": "point", "impairments": "cross", "angle": 45, "size": 60, "filled": True, "color": self.colour}
        yield {"mark": mark, "encoding": {"x": _X, "y": _Y}}


def filtered(layer: Layer, number: int, name: str) -> Layer:
    """Return a layer that shows the rows of one mark, and nothing while the reader has switched its name off."""
    shown = f" && indexof(off, {json.dumps(name)}) < 0" if name else ""
    return {**layer, "transform": [{"filter": f"datum.mark == {number}{shown}"}, *layer.get("transform", [])]}
