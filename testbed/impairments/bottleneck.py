"""A transmitter whose rate changes, and the queue before one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from testbed.codec import Variants

DISCIPLINES = ("droptail", "drophead", "codel", "fq_codel")

_SECOND_NS = 10**9


class Trace(Variants):
    """The rate of a bottleneck over time."""

    __slots__ = ()
    period_ns: int

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunities(Trace):
    """A bottleneck that sends at given times, as in Mahimahi's traces: one line, one packet.

    Attributes:
        times_ns: when it may send, ascending, since the impairments were applied; they repeat every `period_ns`.
        frame_bytes: how much may be sent each time; smaller frames share an opportunity.
        period_ns: more than zero, and not less than the last of the times.
    """

    times_ns: tuple[int, ...]
    frame_bytes: int
    period_ns: int

    def __post_init__(self) -> None:
        if not self.times_ns or self.frame_bytes < 1 or self.period_ns < 1:
            raise ValueError("a bottleneck that never sends anything")
        if self.times_ns[0] < 0 or self.times_ns[-1] > self.period_ns:
            raise ValueError(f"opportunities outside of the period, 0 to {self.period_ns} ns")
        if any(one > other for one, other in pairwise(self.times_ns)):
            raise ValueError("opportunities that do not ascend")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        return len(self.times_ns) * self.frame_bytes * 8 * _SECOND_NS // self.period_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSteps(Trace):
    """A bottleneck whose rate changes.

    Attributes:
        starts_ns: when each rate begins, ascending from 0, since the impairments was applied; they repeat every
        `period_ns`. rates_bps: the rates; 0 is a pause.
        period_ns: more than the last of the starts.
    """

    starts_ns: tuple[int, ...]
    rates_bps: tuple[int, ...]
    period_ns: int

    def __post_init__(self) -> None:
        if len(self.starts_ns) != len(self.rates_bps):
            raise ValueError(f"{len(self.starts_ns)} starts and {len(self.rates_bps)} rates")
        if min(self.rates_bps, default=0) < 0 or not any(self.rates_bps):
            raise ValueError("rates that are negative, or all zero")
        if self.starts_ns[0] != 0 or any(one >= other for one, other in pairwise((*self.starts_ns, self.period_ns))):
            raise ValueError("starts that do not ascend from 0 to the period")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        lengths = [end - start for start, end in pairwise((*self.starts_ns, self.period_ns))]
        return sum(rate * length for rate, length in zip(self.rates_bps, lengths, strict=True)) // self.period_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """What the bottleneck's queue drops, or marks.

    Attributes:
        name: one of `DISCIPLINES`: a full queue drops the packet that comes (`droptail`) or the oldest
            (`drophead`); CoDel (RFC 8289) also drops what has waited too long, FQ-CoDel (RFC 8290) each flow by itself.
        target_ns, interval_ns: CoDel's.
        ecn: CoDel marks packets that can be marked (RFC 3168) instead of dropping them.
    """

    name: str = "droptail"
    target_ns: int = 5_000_000
    interval_ns: int = 100_000_000
    ecn: bool = False

    def __post_init__(self) -> None:
        if self.name not in DISCIPLINES:
            raise ValueError(f"no queue discipline is called {self.name!r}")
        if min(self.target_ns, self.interval_ns) < 1:
            raise ValueError("CoDel's target and interval are more than 0")

    def __str__(self) -> str:
        return f"{self.name}{' with ECN' if self.ecn else ''}"


DROPTAIL = Discipline()
"""The usual one."""
