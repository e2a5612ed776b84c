"""Lists of nodes and links on a terminal, whose rows change while one of them is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import DataTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class List(DataTable[str]):
    """A table of rows that have keys."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id, cursor_type="row")
        self._widths: list[int] = []

    def set_columns(self, widths: Mapping[str, int]) -> None:
        """Set the names and widths of the columns, and remove all rows."""
        self.clear(columns=True)
        self._widths = list(widths.values())
        for name, width in widths.items():
            self.add_column(name, width=width, key=name)

    @property
    def chosen(self) -> str:
        """The key of the row with the cursor; empty if there is none."""
        rows = self.ordered_rows
        return str(rows[self.cursor_row].key.value) if 0 <= self.cursor_row < len(rows) else ""

    def fill(self, rows: Mapping[str, Sequence[str]]) -> None:
        """Show rows, with the cursor on the one where it was; what is too wide for its cell is cut."""
        shown = {key: [*cut(cells, self._widths)] for key, cells in rows.items()}
        if [row.key.value for row in self.ordered_rows] == list(shown):
            for key, cells in shown.items():
                for column, cell in zip(self.ordered_columns, cells, strict=True):
                    if self.get_cell(key, column.key) != cell:
                        self.update_cell(key, column.key, cell)
            return
        chosen = self.chosen
        self.clear()
        for key, cells in shown.items():
            self.add_row(*cells, key=key)
        if chosen in shown:
            self.move_cursor(row=list(shown).index(chosen))


def cut(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield cells as wide as may be. Of a name, which is the first, the middle is left out, of others the end."""
    for column, (text, width) in enumerate(zip(cells, widths, strict=True)):
        kept = 0 if column else width * 2 // 5
        yield text if len(text) <= width else f"{text[: width - 1 - kept]}…{text[len(text) - kept :]}"
