"""What bottlenecks let pass: at a rate, or as a trace says."""

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
    """The bottleneck of a link that has one.

    Raises:
        ValueError: it has none.
    """
    if impairments.bottleneck is None:
        raise ValueError(f"a link without a bottleneck: {impairments.describe()}")
    return impairments.bottleneck


def mean_bps(rate: FixedRate | Trace) -> float:
    """What a transmitter sends, on average."""
    if isinstance(rate, FixedRate):
        return float(rate.bps)
    return Capacity(rate).total_bits * _SECOND / rate.period_ns


def peak_bps(rate: FixedRate | Trace, window_ns: int) -> float:
    """The most that a transmitter sends in a window of time, as a rate."""
    if isinstance(rate, FixedRate):
        return float(rate.bps)
    return max(Capacity(rate).windows(window_ns)) * _SECOND / window_ns


@cache
def drained_ns(rate: FixedRate | Trace, bits: int, most_ns: int) -> int:
    """The longest that a transmitter takes to send so many bits; of a trace, to a factor of two, and up to a limit."""
    if isinstance(rate, FixedRate):
        return min(round(bits * _SECOND / rate.bps), most_ns)
    capacity, length_ns = Capacity(rate), _SHORT_NS
    while length_ns < most_ns and min(capacity.windows(length_ns)) < bits:
        length_ns *= 2
    return min(length_ns, most_ns)


class Capacity:
    """How many bits a trace lets pass."""

    def __init__(self, trace: Trace) -> None:
        self._period_ns = trace.period_ns
        if isinstance(trace, Opportunities):
            # Just before and at each opportunity, so that both are where a window may begin.
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
        """In one period."""
        return self._bits[-1]

    def until(self, time_ns: int) -> float:
        """Bits until a time since the start of a period."""
        periods, rest = divmod(time_ns, self._period_ns)
        place = bisect_right(self._times, rest) - 1
        begun, bits = self._times[place], self._bits[place]
        if rest > begun:
            after = bisect_left(self._times, rest)
            bits += (self._bits[after] - bits) * (rest - begun) / (self._times[after] - begun)
        return periods * self.total_bits + bits

    def windows(self, length_ns: int) -> Iterator[float]:
        """What passes in windows of a length; the most and the least of all windows are among them."""
        for time in self._times:
            yield self.until(time + length_ns) - self.until(time)
            start = (time - length_ns) % self._period_ns
            yield self.until(start + length_ns) - self.until(start)
