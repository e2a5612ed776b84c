"""Compute how many bits a bottleneck with a fixed rate or a trace can send."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from testbed.impairments import FixedRate, Opportunities

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
    if isinstance(rate, FixedRate):
        return float(rate.bps)
    return Capacity(rate).total_bits * _SECOND / rate.period_ns


def peak_bps(rate: FixedRate | Trace, window_ns: int) -> float:
    """Return the highest mean rate of a transmitter over any window of a length, in bit/s."""
    if isinstance(rate, FixedRate):
        return float(rate.bps)
    return max(Capacity(rate).windows(window_ns)) * _SECOND / window_ns


@cache
def drained_ns(rate: FixedRate | Trace, bits: int, most_ns: int) -> int:
    """Return the longest time, up to `most_ns`, that sending `bits` may take; of a trace, within a factor of two."""
    if isinstance(rate, FixedRate):
        return min(round(bits * _SECOND / rate.bps), most_ns)
    capacity, length_ns = Capacity(rate), _SHORT_NS
    while length_ns < most_ns and min(capacity.windows(length_ns)) < bits:
        length_ns *= 2
    return min(length_ns, most_ns)


class Capacity:
    """The number of bits that a trace lets pass in a time."""

    def __init__(self, trace: Trace) -> None:
        self._period_ns = trace.period_ns
        if isinstance(trace, Opportunities):
            # The times just before and at each opportunity, so that a window may begin at both.
            self._times: list[int] = [0]
            self._bits: list[float] = [0]
            for time in trace.times_ns:
                self._times += [max(time - 1, self._times[-1]), time]
                self._bits += [self._bits[-1], self._bits[-1] + 8 * trace.frame_bytes]
        else:
            ends = (*trace.starts_ns[1:], trace.period_ns)
            steps = zip(trace.starts_ns, ends, trace.rates_bps, strict=True)
            self._times = [*trace.starts_ns]
            self._bits = [0, *accumulate((end - start) * rate / _SECOND for start, end, rate in steps)]
        if self._times[-1] < trace.period_ns:
            self._times.append(trace.period_ns)
            self._bits += self._bits[-1:] * (len(self._times) - len(self._bits))

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
