"""Cells of tables, as templates show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell that is more than text.

    Attributes:
        text: the text.
        below: smaller text below it.
        href: the target of a link, or empty.
        code: whether the text is for copying.
        good: whether a verdict is a good one; None if the cell is no verdict.
    """

    text: str
    below: str = ""
    href: str = ""
    code: bool = False
    good: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A fact at the top of a page; `good` as in `TableCell`."""

    name: str
    value: str
    note: str = ""
    good: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVerdict:
    """The verdict at the top of a page.

    Attributes:
        good: None if there is nothing to judge.
        title: one sentence.
        reasons: why it is not good.
        tiles: its facts.
        notes: what was not verified.
    """

    good: bool | None
    title: str
    reasons: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    notes: tuple[str, ...] = ()


Cells = list[str | TableCell]
