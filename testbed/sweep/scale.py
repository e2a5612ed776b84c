"""The values that are tried, as numbers on an axis where they are such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from testbed.sweep.matrix import Cell, Matrix

WIDE = 8
"""From which ratio of the greatest to the least an axis is logarithmic."""

_READERS: Mapping[str, Callable[[str], float]] = {
    "count": float,
    "ratio": lambda text: units.PROBABILITY.parse(text) / units.CERTAIN,
    "ns": units.DURATION.parse,
    "bit/s": units.RATE.parse,
    "bytes": units.SIZE.parse,
}
"""By the unit, as of metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Levels that are quantities of one kind.

    Attributes:
        unit: `count`, `ratio`, `ns`, `bit/s` or `bytes`.
        values: in that unit, by what is written.
    """

    unit: str
    values: Mapping[str, float]


def scale(levels: Sequence[str]) -> Scale | None:
    """The scale on which all levels are; None where they are not of one kind."""
    for unit, read in _READERS.items():
        try:
            return Scale(unit=unit, values={level: float(read(level)) for level in levels})
        except ValueError:
            continue
    return None


def is_wide(values: Iterable[float]) -> bool:
    """Whether values are better seen on a logarithmic axis: all positive, and the greatest far from the least."""
    found = [*values]
    return bool(found) and min(found) > 0 and max(found) >= WIDE * min(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cells that differ in one factor only, in the order of its axis.

    Attributes:
        levels: the values of the other factors, by path.
    """

    levels: Mapping[str, str]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which factor is where in a plot: the first one with numbers along the x axis, the next as curves.

    Attributes:
        x: the path of the factor along the x axis.
        scale: of its levels; None where they are no numbers, and beside each other as they were given.
        of_curves: the path of the factor that tells the curves of a panel apart; None where there is one curve.
        of_panels: of those that tell panels apart.
    """

    x: str
    scale: Scale | None
    of_curves: str | None
    of_panels: tuple[str, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Layout:
        """The layout for a matrix; factors with one level are nowhere in it, unless there is no other."""
        varied = [path for path, levels in matrix.factors.items() if len(levels) > 1] or [*matrix.factors][:1]
        x = next((path for path in varied if scale(matrix.factors[path])), varied[0])
        others = [path for path in varied if path != x]
        return cls(
            x=x,
            scale=scale(matrix.factors[x]),
            of_curves=others[0] if others else None,
            of_panels=tuple(others[1:]),
        )

    @property
    def is_logarithmic(self) -> bool:
        """Whether the x axis is."""
        return self.scale is not None and is_wide(self.scale.values.values())

    def at(self, cell: Cell, levels: Sequence[str]) -> float:
        """Where a cell is on the x axis, whose factor has these levels: its value, or the place of its level."""
        level = cell.levels[self.x]
        return self.scale.values[level] if self.scale else levels.index(level)

    def curves(self, matrix: Matrix) -> list[Curve]:
        """All curves, in the order of the matrix."""
        found: dict[tuple[str, ...], list[Cell]] = {}
        for cell in matrix.cells:
            found.setdefault(tuple(level for path, level in cell.levels.items() if path != self.x), []).append(cell)
        order = matrix.factors[self.x]
        return [
            Curve(
                levels={path: level for path, level in cells[0].levels.items() if path != self.x},
                cells=tuple(sorted(cells, key=lambda cell: self.at(cell, order))),
            )
            for cells in found.values()
        ]
