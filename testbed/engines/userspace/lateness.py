"""A histogram of how late frames were released."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class LatenessHistogram:
    """Counts of non-negative integers in buckets of a logarithmic scale, four to the octave."""

    __slots__ = ("_counts", "_most")

    def __init__(self) -> None:
        self._counts = [0] * 256  # up to 2^64
        self._most = 0

    def record(self, values: Sequence[int]) -> None:
        """Count each of `values`, below 2^63."""
        counts = self._counts
        for value in values:
            shift = (value | 4).bit_length() - 3
            counts[(shift << 2) + (value >> shift)] += 1
        self._most = max(self._most, max(values, default=0))

    def record_steps(self, first: int, last: int, count: int) -> None:
        """Count `count` values in even steps from `first` down to `last`, which is not negative."""
        shift = (first | 4).bit_length() - 3
        bucket = (shift << 2) + (first >> shift)
        if count == 1 or (bucket == (shift << 2) + (last >> shift) and (last | 4).bit_length() - 3 == shift):
            self._counts[bucket] += count
            self._most = max(self._most, first)
        else:
            self.record([last + (first - last) * number // (count - 1) for number in range(count)])

    @property
    def most(self) -> int:
        """The largest value, exactly; 0 if there is none."""
        return self._most

    def at_least(self, exponent: int) -> int:
        """Return how many values are 2^exponent or more, exactly; `exponent` is 2 or more."""
        return sum(self._counts[(exponent - 2 << 2) + 4 :])

    def quantile(self, fraction: float) -> int:
        """Return the upper end of the bucket with the `fraction` quantile, at most `most`; 0 without values."""
        rank = fraction * sum(self._counts)
        for index, count in enumerate(self._counts):
            rank -= count
            if count and rank <= 0:
                shift = max((index >> 2) - 1, 0)
                return min(((index - (shift << 2) + 1) << shift) - 1, self._most)
        return self._most
