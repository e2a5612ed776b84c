"""Columns of integers in JSON lines: the first value, then differences (times and sequence numbers become short)."""

from __future__ import annotations

from array import array
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def encode(values: Sequence[int]) -> list[int]:
    """The first of `values`, then the difference of each to the one before it."""
    return list(chain(values[:1], (later - earlier for earlier, later in pairwise(values))))


def decode(differences: Iterable[int]) -> array[int]:
    """The values that `encode` made `differences` from, as signed 64-bit integers."""
    return array("q", accumulate(differences))
