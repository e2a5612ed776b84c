"""Aggregate any number of values over time, or over another position, in a bounded number of bins."""

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
"""The default limit on the number of bins: about the width of a plot in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The aggregate of the values in one bin.

    Attributes:
        start: position at which the bin begins.
        count: number of values.
        total, low, high: sum, minimum and maximum of the values.
    """

    start: int
    count: int
    total: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return self.total / self.count


class Bins:
    """Bins of equal width. When there are too many, neighbours are merged and the width doubles.

    Attributes:
        width: the present width of each bin.
    """

    def __init__(self, width: int, limit: int = LIMIT) -> None:
        self.width = width
        self._limit = limit
        self._origin: int | None = None
        self._bins: dict[int, list[float]] = {}

    def add(self, position: int, value: float = 1) -> None:
        """Add a value; a bin begins at the position of the first value."""
        self.extend((position,), (value,))

    def extend(self, positions: Sequence[int], values: Sequence[float]) -> None:
        """Add values, each at its position; this is fastest if positions ascend, and fast if most of them do."""
        if not positions:
            return
        if self._origin is None:
            self._origin = positions[0]
        if not all(map(le, positions, islice(positions, 1, None))):
            pairs = sorted(zip(positions, values, strict=True))  # linear where few are out of order
            positions, values = [position for position, _ in pairs], [value for _, value in pairs]
        end, count = 0, len(positions)
        while end < count:
            start = end
            key = (positions[start] - self._origin) // self.width
            end = bisect_left(positions, self._origin + (key + 1) * self.width, start)
            part = values[start:end]
            self._merge(key, [end - start, sum(part), min(part), max(part)])

    def _merge(self, key: int, aggregate: list[float]) -> None:
        """Add the aggregate of several values to a bin."""
        present = self._bins.get(key)
        if present is not None:
            self._bins[key] = _merged(aggregate, present)
            return
        self._bins[key] = aggregate
        while len(self._bins) > self._limit:
            self._coarsen()

    def _coarsen(self) -> None:
        coarse: dict[int, list[float]] = {}
        for key, aggregate in self._bins.items():
            neighbour = coarse.get(key >> 1)
            coarse[key >> 1] = aggregate if neighbour is None else _merged(aggregate, neighbour)
        self._bins = coarse
        self.width *= 2

    def include(self, other: Bins) -> None:
        """Add the contents of other bins, each at the middle of its bin."""
        for item in other:
            if self._origin is None:
                self._origin = item.start
            key = (item.start + other.width // 2 - self._origin) // self.width
            self._merge(key, [item.count, item.total, item.low, item.high])

    def regrouped(self, width: float) -> dict[int, float]:
        """Return the sums of the values in equal parts of at least `width`, by the start of each part.

        A bin counts for the part that contains its middle.
        """
        parts: dict[int, float] = {}
        whole = max(1, round(width))
        for item in self:
            start = (item.start + self.width // 2) // whole * whole
            parts[start] = parts.get(start, 0) + item.total
        return parts

    @classmethod
    def merged(cls, several: Sequence[Bins]) -> Self:
        """Return bins with the contents of several, as wide as the widest of them."""
        merged = cls(max(bins.width for bins in several))
        for bins in sorted(filter(None, several), key=lambda bins: next(iter(bins)).start):
            merged.include(bins)
        return merged

    def __bool__(self) -> bool:
        return bool(self._bins)

    def __iter__(self) -> Iterator[Bin]:
        """Iterate over the bins that contain values, in order."""
        origin = self._origin or 0
        for key in sorted(self._bins):
            count, total, low, high = self._bins[key]
            yield Bin(start=origin + key * self.width, count=int(count), total=total, low=low, high=high)


def _merged(first: list[float], second: list[float]) -> list[float]:
    """Return count, sum, minimum and maximum of two bins together."""
    return [first[0] + second[0], first[1] + second[1], min(first[2], second[2]), max(first[3], second[3])]


class Distribution:
    """A histogram of values with a relative precision of 1/1000."""

    _DIGITS = 11

    def __init__(self) -> None:
        self.count = 0
        self._counts: dict[int, int] = {}

    def add(self, value: int) -> None:
        """Add a value."""
        self.extend((value,))

    def extend(self, values: Sequence[int]) -> None:
        """Add values; this is fastest if they are of about the same magnitude."""
        counts = self._counts
        for shift, part in self._by_magnitude(values):
            for key, count in Counter([value >> shift for value in part]).items():
                counts[key << shift] = counts.get(key << shift, 0) + count
        self.count += len(values)

    def _by_magnitude(self, values: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield values in parts of one magnitude, with the number of bits that are not kept of them."""
        low, high = min(values, default=0), max(values, default=0)
        shift = self._shift(high)
        if low >= 0 and shift == self._shift(low):
            yield shift, values
            return
        ordered = sorted(values)
        end = bisect_left(ordered, 0)
        for value in ordered[:end]:  # clocks that differ; few
            yield self._shift(value), (value,)
        while end < len(ordered):
            start = end
            shift = self._shift(ordered[start])
            end = bisect_left(ordered, 1 << shift + self._DIGITS, start)
            yield shift, ordered[start:end]

    def _shift(self, value: int) -> int:
        return max(0, value.bit_length() - self._DIGITS)

    def greater(self) -> list[tuple[int, int]]:
        """Return the values in ascending order, each with the number of greater values."""
        remaining, pairs = self.count, []
        for value in sorted(self._counts):
            remaining -= self._counts[value]
            pairs.append((value, remaining))
        return pairs
