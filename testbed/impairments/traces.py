"""Traces: a rate, a delay or a loss that changes with time."""

from __future__ import annotations

from functools import cache
from itertools import chain, islice, pairwise

from testbed import units
from testbed.codec import Variant
from testbed.impairments.probability import percent, require_probability
from testbed.impairments.times import Times  # noqa: TC001  # msgspec reads the annotations

_SECOND_NS = 10**9


class Opportunities(Variant, frozen=True, kw_only=True):
    """A bottleneck that sends at given times, as in Mahimahi's traces: one line, one packet.

    Attributes:
        times_ns: when it may send, ascending, since the impairments were applied; they repeat every `period_ns`.
        frame_bytes: how many bytes may be sent each time; smaller frames share an opportunity.
        period_ns: more than zero, and not less than the last of the times.
    """

    times_ns: Times
    frame_bytes: int
    period_ns: int

    def __post_init__(self) -> None:
        if not self.times_ns or self.frame_bytes < 1 or self.period_ns < 1:
            raise ValueError("a bottleneck that never sends anything")
        if self.times_ns[-1] > self.period_ns:
            raise ValueError(f"opportunities outside of the period, 0 to {self.period_ns} ns")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        return len(self.times_ns) * self.frame_bytes * 8 * _SECOND_NS // self.period_ns

    @property
    def longest_pause_ns(self) -> int:
        """The longest time from one opportunity to the next."""
        return _longest_pause_ns(self)


class RateSteps(Variant, frozen=True, kw_only=True):
    """A bottleneck whose rate changes.

    Attributes:
        starts_ns: when each rate begins, ascending from 0, since the impairments were applied; they repeat every
            `period_ns`.
        rates_bps: the rates; 0 is a pause.
        period_ns: more than the last of the starts.
    """

    starts_ns: tuple[int, ...]
    rates_bps: tuple[int, ...]
    period_ns: int

    def __post_init__(self) -> None:
        _require_steps(self.starts_ns, self.rates_bps, self.period_ns)
        if not any(self.rates_bps):
            raise ValueError("all rates are zero")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        return _mean(self.starts_ns, self.rates_bps, self.period_ns)


Trace = Opportunities | RateSteps
"""A rate that changes."""


class DelaySteps(Variant, frozen=True, kw_only=True):
    """A delay that changes.

    Attributes:
        starts_ns: when each delay begins, ascending from 0, since the impairments were applied; they repeat every
            `period_ns`.
        delays_ns: the delays.
        period_ns: more than the last of the starts.
    """

    starts_ns: tuple[int, ...]
    delays_ns: tuple[int, ...]
    period_ns: int

    def __post_init__(self) -> None:
        _require_steps(self.starts_ns, self.delays_ns, self.period_ns)

    @property
    def mean_ns(self) -> int:
        """The delay on average over a period."""
        return _mean(self.starts_ns, self.delays_ns, self.period_ns)

    def __str__(self) -> str:
        shortest, longest = (units.DURATION.format(delay_ns) for delay_ns in (min(self.delays_ns), max(self.delays_ns)))
        return f"{shortest} to {longest}, by trace"


class LossSteps(Variant, frozen=True, kw_only=True):
    """Loss of each packet by itself, with a probability that changes.

    Attributes:
        starts_ns: when each probability begins, ascending from 0, since the impairments were applied; they repeat every
            `period_ns`.
        probabilities: in 1/2^32, not all 0.
        period_ns: more than the last of the starts.
    """

    starts_ns: tuple[int, ...]
    probabilities: tuple[int, ...]
    period_ns: int

    def __post_init__(self) -> None:
        _require_steps(self.starts_ns, self.probabilities, self.period_ns)
        require_probability(max(self.probabilities), "the highest probability", least=1)

    @property
    def mean(self) -> int:
        """The probability on average over a period, in 1/2^32."""
        return _mean(self.starts_ns, self.probabilities, self.period_ns)

    def __str__(self) -> str:
        return f"{percent(min(self.probabilities))} to {percent(max(self.probabilities))}, by trace"


@cache
def _longest_pause_ns(trace: Opportunities) -> int:
    wrapped_ns = trace.times_ns[0] + trace.period_ns - trace.times_ns[-1]
    return max(chain((wrapped_ns,), islice(trace.times_ns.steps(), 1, None)))


def _require_steps(starts_ns: tuple[int, ...], values: tuple[int, ...], period_ns: int) -> None:
    """Raise ValueError unless there is a value for each start, none negative, and the starts ascend to the period."""
    if len(starts_ns) != len(values):
        raise ValueError(f"{len(starts_ns)} starts and {len(values)} values")
    if min(values, default=0) < 0:
        raise ValueError("values that are negative")
    times_ns = (*starts_ns, period_ns)
    if times_ns[0] != 0 or any(earlier >= later for earlier, later in pairwise(times_ns)):
        raise ValueError("starts that do not ascend from 0 to the period")


def _mean(starts_ns: tuple[int, ...], values: tuple[int, ...], period_ns: int) -> int:
    lengths = [end - start for start, end in pairwise((*starts_ns, period_ns))]
    return sum(value * length for value, length in zip(values, lengths, strict=True)) // period_ns
