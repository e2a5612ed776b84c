"""Compute how many bits a bottleneck with a fixed rate or a trace can send."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from functools import cache
from itertools import accumulate, chain, groupby, islice
from math import inf
from operator import sub
from typing import TYPE_CHECKING

from testbed.impairments import FixedRate, Opportunities, RateSteps, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.impairments import Bottleneck, Impairments, Trace

_SECOND = 1_000_000_000
_SHORT_NS = 250_000_000


def bottleneck_of(impairments: Impairments) -> Bottleneck:
    """Return the bottleneck of a link.

    Raises:
        ValueError: the link has none.
    """
    if impairments.bottleneck is None:
        raise ValueError(f"a link without a bottleneck: {impairments.describe()}")
    return impairments.bottleneck


def mean_bps(rate: FixedRate | Trace) -> float:
    """Return the mean rate of a transmitter, in bit/s."""
    match rate:
        case FixedRate():
            return float(rate.bps)
        case Opportunities():
            return 8 * rate.frame_bytes * len(rate.times_ns) * _SECOND / rate.period_ns
        case RateSteps():
            return _Steps(rate).total_bits * _SECOND / rate.period_ns


def peak_bps(rate: FixedRate | Trace, window_ns: int) -> float:
    """Return the highest mean rate of a transmitter over any window of a length, in bit/s; infinity if it has none."""
    if isinstance(rate, TokenBucket):
        return float(rate.peak_bps or inf)
    if isinstance(rate, FixedRate):
        return float(rate.bps)
    return bounds(rate, window_ns)[1] * _SECOND / window_ns


@cache
def drained_ns(rate: FixedRate | Trace, bits: int, most_ns: int) -> int:
    """Return the longest time, up to `most_ns`, that sending `bits` may take; of a trace, within a factor of two."""
    if isinstance(rate, FixedRate):
        return min(round(bits * _SECOND / rate.bps), most_ns)
    length_ns = _SHORT_NS
    while length_ns < most_ns and bounds(rate, length_ns)[0] < bits:
        length_ns *= 2
    return min(length_ns, most_ns)


@cache
def bounds(trace: Trace, length_ns: int) -> tuple[float, float]:
    """Return the fewest and the most bits that a trace lets pass in any window of a length."""
    if isinstance(trace, RateSteps):
        windows = list(_Steps(trace).windows(length_ns))
        return min(windows), max(windows)
    times_ns, counts = _distinct(trace)
    period_ns, total = trace.period_ns, counts[-1]
    periods, rest_ns = divmod(length_ns, period_ns)

    def until(offset_ns: int) -> Iterator[int]:
        """Yield for each time how many opportunities there are up to `offset_ns` later, at most a period."""
        place, passed, size = 0, 0, len(times_ns)
        for time in times_ns:
            while place < 2 * size and times_ns[place % size] + place // size * period_ns <= time + offset_ns:
                passed = counts[place % size] + place // size * total
                place += 1
            yield passed

    # The fewest pass after an opportunity, the most from one on, to just before the end of the window.
    before = chain((0,), islice(counts, len(counts) - 1))
    fewest = min(map(sub, until(rest_ns), counts))
    most = max(map(sub, until(rest_ns - 1), before)) if rest_ns else 0
    frame_bits = 8 * trace.frame_bytes
    return (periods * total + fewest) * frame_bits, (periods * total + most) * frame_bits


@cache
def _distinct(trace: Opportunities) -> tuple[array[int], array[int]]:
    """Return the different times of a trace, and how many opportunities there are up to each."""
    times_ns, counts = array("q"), array("q")
    number = 0
    for time, same in groupby(trace.times_ns):
        number += sum(1 for _ in same)
        times_ns.append(time)
        counts.append(number)
    return times_ns, counts


class _Steps:
    """The number of bits that a trace of rates lets pass in a time."""

    def __init__(self, trace: RateSteps) -> None:
        self._period_ns = trace.period_ns
        ends = (*trace.starts_ns[1:], trace.period_ns)
        steps = zip(trace.starts_ns, ends, trace.rates_bps, strict=True)
        self._times = [*trace.starts_ns, trace.period_ns]
        self._bits = [0, *accumulate((end - start) * rate / _SECOND for start, end, rate in steps)]

    @property
    def total_bits(self) -> float:
        """The bits of one period."""
        return self._bits[-1]

    def until(self, time_ns: int) -> float:
        """Return the bits from the start of a period until a time."""
        periods, rest = divmod(time_ns, self._period_ns)
        place = bisect_right(self._times, rest) - 1
        begun, bits = self._times[place], self._bits[place]
        if rest > begun:
            after = bisect_left(self._times, rest)
            bits += (self._bits[after] - bits) * (rest - begun) / (self._times[after] - begun)
        return periods * self.total_bits + bits

    def windows(self, length_ns: int) -> Iterator[float]:
        """Yield the bits of windows of a length, including the windows with the most and the fewest bits."""
        for time in self._times:
            yield self.until(time + length_ns) - self.until(time)
            start = (time - length_ns) % self._period_ns
            yield self.until(start + length_ns) - self.until(start)
