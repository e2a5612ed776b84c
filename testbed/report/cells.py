"""Cells of tables, as templates show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A cell that is more than text.

    Attributes:
        text: what it says.
        below: what stands below that, smaller.
        href: where it leads; empty for nowhere.
        code: whether it is something to copy.
        good: of a verdict whether it is a good one; None where it is no verdict.
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
class Verdict:
    """What a page says first.

    Attributes:
        good: None where there is nothing to judge.
        title: in a sentence.
        reasons: why it is not good.
        tiles: the facts behind it.
        notes: what remains unproven.
    """

    good: bool | None
    title: str
    reasons: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    notes: tuple[str, ...] = ()


Cells = list[str | TableCell]
