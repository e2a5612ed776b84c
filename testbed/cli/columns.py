"""A table for terminals of any width. Imports rich: import it when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

GAP = 2
"""Between columns."""


class Columns:
    """Columns side by side within the width; the remaining ones follow below, with the first columns repeated."""

    def __init__(
        self,
        head: Sequence[str],
        lines: Sequence[Sequence[str | Text]],
        *,
        keys: int = 1,
        right: Container[str] = (),
        caption: str = "",
    ) -> None:
        """Initialise.

        Args:
            head: the names of the columns.
            lines: as many cells each.
            keys: how many of the first columns say what a line is about.
            right: the columns whose cells end at the same place.
            caption: goes below.
        """
        self._head, self._lines, self._keys, self._right, self._caption = head, lines, keys, right, caption
        self._widths = [
            max(Text.assemble(cell).cell_len for cell in column) for column in zip(head, *lines, strict=True)
        ]

    @property
    def width(self) -> int:
        """The width of all columns side by side."""
        return self._width(range(len(self._head)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich: one or more tables."""
        parts = list(self._parts(options.max_width))
        for part in parts:
            if part is not parts[0]:
                yield ""
            yield self._table(part)
        if self._caption:
            yield Text(self._caption)

    def _parts(self, width: int) -> Iterator[list[int]]:
        keys = list(range(self._keys))
        part = list(keys)
        for column in range(self._keys, len(self._head)):
            if part != keys and self._width([*part, column]) > width:
                yield part
                part = list(keys)
            part.append(column)
        yield part

    def _width(self, columns: Sequence[int]) -> int:
        return sum(self._widths[column] for column in columns) + GAP * (len(columns) - 1)

    def _table(self, columns: Sequence[int]) -> Table:
        """Return one table; cells that are too wide continue in the next line, and nothing is cut off."""
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for name in (self._head[column] for column in columns):
            table.add_column(Text(name), overflow="fold", justify="right" if name in self._right else "left")
        for line in self._lines:
            table.add_row(*(Text.assemble(line[column]) for column in columns))
        return table
