r"""Tables of impairments between nodes or groups of nodes, from CSV files.

    from\to, eu,        us
    eu,      1ms,       40ms 0.1%
    us,      40ms 0.1%, 2ms 0% 1gbit

The first row and the first column have the names. A cell has the delay of packets from the row's name to the column's,
then, if wanted, their loss and the rate; the diagonal is for links within a group, and may be empty.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import ValidationError

from testbed import units
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.problems import nearest, quote
from testbed.topology.referenced_files import Beside, ContentError, ContentFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

_EXAMPLE = "80ms, or 80ms 0.1% 100mbit"
_KEYS = (("loss", re.compile(r"\S+%")), ("rate", re.compile(units.RATE.pattern)))
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
"""As of nodes."""


@dataclass(frozen=True, slots=True)
class ImpairmentMatrix:
    """A table of impairments.

    Attributes:
        names: of rows and columns.
        cells: the keys of each cell that is not empty, by the names of its row and its column.
    """

    names: tuple[str, ...]
    cells: Mapping[tuple[str, str], ImpairmentKeys]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell's text without spaces around it, and where it begins, from 1."""

    text: str
    line: int
    column: int

    def fault(self, code: str, said: str, hint: str = "") -> ContentFault:
        return ContentFault(self.line, self.column, code, said, hint)


def matrix(file: BinaryIO, _: str) -> ImpairmentMatrix:
    """Parse a table; empty lines and lines that start with `#` are ignored.

    Raises:
        ContentError: it is no such table; with all faults.
    """
    text = file.read().decode("utf-8-sig")
    rows = [_cells(line, number) for number, line in enumerate(text.splitlines(), 1) if _is_row(line)]
    if not rows or len(rows[0]) < 2:  # noqa: PLR2004
        line = rows[0][0].line if rows else 1
        hint = "the first row has the names of the nodes or groups, after a cell that is for people to read"
        raise ContentError([ContentFault(line, 1, "no-names", "the table names no node", hint)])
    columns = rows[0][1:]
    parsed: dict[str, ImpairmentKeys | tuple[str, str]] = {}
    cells: dict[tuple[str, str], ImpairmentKeys] = {}
    faults = list(_shape_faults(columns, rows[1:]))
    for first, *values in rows[1:]:
        for column, value in zip(columns, values, strict=False):
            if not value.text and first.text == column.text:
                continue
            if value.text not in parsed:
                parsed[value.text] = _keys(value.text)
            found = parsed[value.text]
            if isinstance(found, tuple):
                faults.append(value.fault("bad-cell", f"from {first.text} to {column.text} {found[0]}", found[1]))
            else:
                cells[first.text, column.text] = found
    if faults:
        raise ContentError(faults)
    return ImpairmentMatrix(tuple(cell.text for cell in columns), cells)


MatrixValue = Annotated[ImpairmentMatrix, Beside(matrix, ("delays.csv",))]


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _cells(line: str, number: int) -> list[_Cell]:
    cells, at = [], 0
    for part in line.split(","):
        cells.append(_Cell(part.strip(), number, at + len(part) - len(part.lstrip()) + 1))
        at += len(part) + 1
    return cells


def _shape_faults(columns: list[_Cell], rows: list[list[_Cell]]) -> Iterator[ContentFault]:
    """Names are names and come once; there is a row for each column, and a cell in each row for each column."""
    names = [cell.text for cell in columns]
    for listed in (columns, [first for first, *_ in rows]):
        counts = Counter(cell.text for cell in listed)
        for index, cell in enumerate(listed):
            if _NAME.fullmatch(cell.text) is None:
                said = f"the table has {quote(cell.text)}, which is not a name"
                yield cell.fault("bad-name", said, "write the names of nodes")
            elif counts[cell.text] > 1 and cell.text in {earlier.text for earlier in listed[:index]}:
                yield cell.fault("duplicate-name", f"the table has {quote(cell.text)} a second time")
    for first, *values in rows:
        if _NAME.fullmatch(first.text) and first.text not in names:
            yield first.fault(
                "not-square",
                f"the table has a row {quote(first.text)} and no such column",
                nearest(first.text, names, "columns"),
            )
        if len(values) != len(columns):
            said = f"the row {quote(first.text)} has {len(values)} values, and there are {len(columns)} columns"
            yield first.fault("not-square", said, "a row has one value for each column")
    present = {first.text for first, *_ in rows}
    for cell in columns:
        if cell.text not in present:
            yield cell.fault("not-square", f"the table has a column {quote(cell.text)} and no such row", "add the row")


def _keys(text: str) -> ImpairmentKeys | tuple[str, str]:
    """Return what a cell says, or what is wrong with it and what to write instead."""
    if not text:
        return "is empty", f"write {_EXAMPLE}, or 0 for no delay"
    delay, *others = text.split()
    written = {"delay": delay}
    for word in others:
        key = next((key for key, form in _KEYS if form.fullmatch(word)), None)
        if key is None or key in written:
            return f"is {quote(text)}: {quote(word)} is {'there twice' if key else 'no loss and no rate'}", _said()
        written[key] = word
    try:
        return ImpairmentKeys.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first.get("ctx", {}).get("said", first["msg"])
        return f"is {quote(text)}, whose {first['loc'][0]} {said}", _said()


def _said() -> str:
    return f"write a delay, then a loss and a rate if wanted: {_EXAMPLE}"
