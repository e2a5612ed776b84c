"""Any number of values over time, or over anything, in a bounded number of bins."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from operator import le
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT = 600
"""The most bins: about the width of a plot in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What fell into one bin.

    Attributes:
        start: where it begins.
        count: how many values.
        total, low, high: their sum, the least and the greatest.
    """

    start: int
    count: int
    total: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Of the values."""
        return self.total / self.count


class Bins:
    """Bins of one width. When there are too many, neighbours become one and the width doubles.

    Attributes:
        width: of each by now.
    """

    def __init__(self, width: int, limit: int = LIMIT) -> None:
        self.width = width
        self._limit = limit
        self._origin: int | None = None
        self._bins: dict[int, list[float]] = {}

    def add(self, position: int, value: float = 1) -> None:
        """Take in a value; the first one's position is where a bin begins."""
        self.extend((position,), (value,))

    def extend(self, positions: Sequence[int], values: Sequence[float]) -> None:
        """Take in values, each at its position; fast where positions ascend."""
        if not positions:
            return
        if self._origin is None:
            self._origin = positions[0]
        end, count = 0, len(positions)
        ascending = all(map(le, positions, islice(positions, 1, None)))
        while end < count:
            start = end
            key = (positions[start] - self._origin) // self.width
            if ascending:
                end = bisect_left(positions, self._origin + (key + 1) * self.width, start)
            else:
                end += 1
            part = values[start:end]
            self._merge(key, [end - start, sum(part), min(part), max(part)])

    def _merge(self, key: int, one: list[float]) -> None:
        """Take in what fell into a bin."""
        other = self._bins.get(key)
        if other is not None:
            self._bins[key] = _merged(one, other)
            return
        self._bins[key] = one
        while len(self._bins) > self._limit:
            self._coarsen()

    def _coarsen(self) -> None:
        coarse: dict[int, list[float]] = {}
        for key, one in self._bins.items():
            other = coarse.get(key >> 1)
            coarse[key >> 1] = one if other is None else _merged(one, other)
        self._bins = coarse
        self.width *= 2

    def include(self, other: Bins) -> None:
        """Take in what another one's bins hold, each at its middle."""
        for one in other:
            if self._origin is None:
                self._origin = one.start
            key = (one.start + other.width // 2 - self._origin) // self.width
            self._merge(key, [one.count, one.total, one.low, one.high])

    def regrouped(self, width: float) -> dict[int, float]:
        """The sums of what fell into equal parts of at least `width`, by where each begins.

        A bin counts for the part in which its middle is.
        """
        parts: dict[int, float] = {}
        whole = max(1, round(width))
        for one in self:
            start = (one.start + self.width // 2) // whole * whole
            parts[start] = parts.get(start, 0) + one.total
        return parts

    @classmethod
    def merged(cls, several: Sequence[Bins]) -> Self:
        """All values of several in bins that are as wide as the widest of theirs."""
        whole = cls(max(one.width for one in several))
        for one in sorted((one for one in several if one), key=lambda one: next(iter(one)).start):
            whole.include(one)
        return whole

    def __bool__(self) -> bool:
        return bool(self._bins)

    def __iter__(self) -> Iterator[Bin]:
        """The bins that hold anything, in order."""
        origin = self._origin or 0
        for key in sorted(self._bins):
            count, total, low, high = self._bins[key]
            yield Bin(start=origin + key * self.width, count=int(count), total=total, low=low, high=high)


def _merged(one: list[float], other: list[float]) -> list[float]:
    """Count, sum, least and greatest of two bins together."""
    return [one[0] + other[0], one[1] + other[1], min(one[2], other[2]), max(one[3], other[3])]


class Distribution:
    """How values are distributed, to one part in 1000 of each."""

    _DIGITS = 11

    def __init__(self) -> None:
        self.count = 0
        self._counts: dict[int, int] = {}

    def add(self, value: int) -> None:
        """Take in a value."""
        self.extend((value,))

    def extend(self, values: Sequence[int]) -> None:
        """Take in values; fast where they are of about the same size."""
        counts = self._counts
        low, high = min(values, default=0), max(values, default=0)
        shift = max(0, high.bit_length() - self._DIGITS)
        if low >= 0 and shift == max(0, low.bit_length() - self._DIGITS):
            for key, count in Counter([value >> shift for value in values]).items():
                counts[key << shift] = counts.get(key << shift, 0) + count
        else:
            for value in values:
                shift = max(0, value.bit_length() - self._DIGITS)
                key = value >> shift << shift
                counts[key] = counts.get(key, 0) + 1
        self.count += len(values)

    def greater(self) -> list[tuple[int, int]]:
        """Values in ascending order, each with how many are greater."""
        left, found = self.count, []
        for value in sorted(self._counts):
            left -= self._counts[value]
            found.append((value, left))
        return found
