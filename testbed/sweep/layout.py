"""The layout of a sweep's charts: which factor is on the x axis, and which cells form a curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.sweep.scale import AxisScale, is_wide, scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.sweep.matrix import Cell, Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cells that differ in one factor only, in the order of its axis.

    Attributes:
        levels: the values of the other factors, by path.
    """

    levels: Mapping[str, str]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLayout:
    """The role of each factor in a chart: the first numeric one is on the x axis, the next one distinguishes curves.

    Attributes:
        x: the path of the factor along the x axis.
        scale: of its levels; None where they are no numbers, and beside each other as they were given.
        of_curves: the path of the factor that distinguishes the curves of a panel; None if there is one curve.
        of_panels: the paths of the factors that distinguish panels.
    """

    x: str
    scale: AxisScale | None
    of_curves: str | None
    of_panels: tuple[str, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> ChartLayout:
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
        by_levels: dict[tuple[str, ...], list[Cell]] = {}
        for cell in matrix.cells:
            by_levels.setdefault(tuple(level for path, level in cell.levels.items() if path != self.x), []).append(cell)
        order = matrix.factors[self.x]
        return [
            Curve(
                levels={path: level for path, level in cells[0].levels.items() if path != self.x},
                cells=tuple(sorted(cells, key=lambda cell: self.at(cell, order))),
            )
            for cells in by_levels.values()
        ]
