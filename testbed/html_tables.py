"""Tables of HTML, for objects that notebooks show."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def html_table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a title, a row of names if there are any, and rows of values; None is a question mark."""
    lines = (*([f"<tr>{_cells('th', head)}</tr>"] if head else []), *(f"<tr>{_cells('td', row)}</tr>" for row in rows))
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"


def _cells(tag: str, values: Sequence[object]) -> str:
    return "".join(f"<{tag}>{'?' if value is None else escape(str(value))}</{tag}>" for value in values)
