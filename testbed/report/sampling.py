"""What a page shows of very many things: some of them, evenly chosen, so that its size is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread, the first and the last among them.

    Args:
        items: in an order that means something.
        most: 2 or more.
    """
    if len(items) <= most:
        return [*items]
    return [items[number * (len(items) - 1) // (most - 1)] for number in range(most)]
