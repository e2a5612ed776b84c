"""What can be drawn into a panel. What tells series apart is never colour alone: dashes of lines, forms of markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from testbed.results.report.markup import Element, element, path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.results.report.axes import Axis

STYLES = 6
"""How many colours, dashes and markers there are before they repeat."""

_NEAR = 0.4
_MARK = 2.2
RUG_HEIGHT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a panel is in the drawing, pixels, and what its axes are; the y axis begins `foot` above the bottom."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis
    foot: float = 0

    @property
    def bottom(self) -> float:
        """The y of the x axis."""
        return self.top + self.height

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.left + self.width

    def across(self, value: float) -> float:
        """The x of a value."""
        return self.left + self.width * self.x.at(value)

    def up(self, value: float) -> float:
        """The y of a value."""
        return self.bottom - self.foot - (self.height - self.foot) * self.y.at(value)


class Mark(Protocol):
    """Something drawn into a panel."""

    @property
    def name(self) -> str:
        """What the legend calls it; empty where it needs no entry."""

    def draw(self, frame: Frame) -> Iterator[Element]:
        """The drawing."""

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """What the legend shows of it, 24 pixels wide, around the height `y`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, by steps or straight; `style` numbers its colour and dashes.

    `look` is empty, `thin` (what goes with another line of that style) or `faint` (one of many).
    """

    name: str
    style: int
    points: Sequence[tuple[float, float]]
    steps: bool = False
    look: str = ""

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        drawn: list[tuple[float, float]] = []
        for number, (x, y) in enumerate(self.points):
            at = frame.across(x), frame.up(y)
            last = number == len(self.points) - 1
            if drawn and not last and abs(at[0] - drawn[-1][0]) < _NEAR and abs(at[1] - drawn[-1][1]) < _NEAR:
                continue
            if drawn and self.steps:
                drawn.append((at[0], drawn[-1][1]))
            drawn.append(at)
        yield path(drawn, self._class)
        if len(self.points) == 1:
            yield element("path", d=marker(self.style, *drawn[0]), class_=f"dots s{self.style % STYLES}")

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield path([(x, y), (x + 24, y)], self._class)

    @property
    def _class(self) -> str:
        return f"line s{self.style % STYLES} {self.look}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Markers at means, each with a stroke from the least to the greatest value: `(x, least, mean, greatest)`."""

    name: str
    style: int
    ranges: Sequence[tuple[float, float, float, float]]

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        strokes = []
        for x, low, _, high in self.ranges:
            if frame.up(low) - frame.up(high) > _NEAR:
                strokes.append(f"M{frame.across(x):.1f} {frame.up(low):.1f}V{frame.up(high):.1f}")
        if strokes:
            yield element("path", d="".join(strokes), class_=f"range s{self.style % STYLES}")
        marks = (marker(self.style, frame.across(x), frame.up(mean)) for x, _, mean, _ in self.ranges)
        yield element("path", d="".join(marks), class_=f"dots s{self.style % STYLES}")

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield element("path", d=marker(self.style, x + 18, y), class_=f"dots s{self.style % STYLES}")


def marker(style: int, x: float, y: float) -> str:
    """A marker as a path: circle, square, triangle, diamond, and those two upside down or flat."""
    r, wide = _MARK, 1.3 * _MARK
    forms = (
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",
        f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.1f} {y - r * 1.2:.1f}l{r * 1.2:.1f} {r * 2.2:.1f}h{-r * 2.4:.1f}z",
        f"M{x:.1f} {y - wide:.1f}l{wide:.1f} {wide:.1f}l{-wide:.1f} {wide:.1f}l{-wide:.1f} {-wide:.1f}z",
        f"M{x:.1f} {y + r * 1.2:.1f}l{r * 1.2:.1f} {-r * 2.2:.1f}h{-r * 2.4:.1f}z",
        f"M{x - wide:.1f} {y - r / 2:.1f}h{2 * wide:.1f}v{r}h{-2 * wide:.1f}z",
    )
    return forms[style % STYLES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rug:
    """Short strokes, below all else, where something happened; rows of them are above each other."""

    name: str
    positions: Sequence[float]
    row: int = 0
    kind: str = "bad"

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        foot = frame.bottom - 2 - RUG_HEIGHT * self.row
        strokes = "".join(f"M{frame.across(x):.1f} {foot:.1f}v-8" for x in self.positions)
        yield element("path", d=strokes, class_=f"rug {self.kind}")

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield element("path", d=f"M{x + 18:.1f} {y + 4:.1f}v-8", class_=f"rug {self.kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Bars from the x axis: `(from, to, height)`, of what is bad."""

    name: str
    bars: Sequence[tuple[float, float, float]]

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        parts = []
        for start, end, value in self.bars:
            left, right, top = frame.across(start), frame.across(end), frame.up(value)
            gap = 0.5 if right - left > 3 else 0  # noqa: PLR2004 (pixels)
            if frame.up(0) - top > _NEAR:
                parts.append(f"M{left + gap:.1f} {frame.up(0):.1f}V{top:.1f}H{right - gap:.1f}V{frame.up(0):.1f}z")
        yield element("path", d="".join(parts), class_="bars")

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield element("rect", x=x + 10, y=y - 4, width=14, height=8, class_="bars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A thin line at values that were asked for, each from a place on; the first from the left edge."""

    name: str
    steps: Sequence[tuple[float, float]]

    def draw(self, frame: Frame) -> Iterator[Element]:
        """See `Mark`."""
        points: list[tuple[float, float]] = []
        for x, value in self.steps:
            across = frame.across(x) if points else frame.left
            points += [(across, points[-1][1] if points else frame.up(value)), (across, frame.up(value))]
        yield path([*points, (frame.right, points[-1][1])], "level")

    def sample(self, x: float, y: float) -> Iterator[Element]:
        """See `Mark`."""
        yield path([(x, y), (x + 24, y)], "level")
