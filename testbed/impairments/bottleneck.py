"""The bottleneck of a link: a transmitter, and the queue before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from testbed import units
from testbed.codec import Variant
from testbed.decisive import NOT_DECISIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECOND_NS = 10**9


class FixedRate(Variant, frozen=True, kw_only=True, tag="fixed"):
    """A transmitter of constant rate.

    Attributes:
        bps: bit/s of Ethernet frames without preamble and checksum, more than 0.
    """

    bps: int

    def __post_init__(self) -> None:
        if self.bps < 1:
            raise ValueError(f"a rate of {self.bps} bit/s; no limit is no bottleneck")

    @property
    def mean_bps(self) -> int:
        """The constant rate, bit/s."""
        return self.bps


class Opportunities(Variant, frozen=True, kw_only=True):
    """A bottleneck that sends at given times, as in Mahimahi's traces: one line, one packet.

    Attributes:
        times_ns: when it may send, ascending, since the impairments were applied; they repeat every `period_ns`.
        frame_bytes: how many bytes may be sent each time; smaller frames share an opportunity.
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
        if any(earlier > later for earlier, later in pairwise(self.times_ns)):
            raise ValueError("opportunities that do not ascend")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        return len(self.times_ns) * self.frame_bytes * 8 * _SECOND_NS // self.period_ns


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
        if len(self.starts_ns) != len(self.rates_bps):
            raise ValueError(f"{len(self.starts_ns)} starts and {len(self.rates_bps)} rates")
        if min(self.rates_bps, default=0) < 0 or not any(self.rates_bps):
            raise ValueError("rates that are negative, or all zero")
        times_ns = (*self.starts_ns, self.period_ns)
        if times_ns[0] != 0 or any(earlier >= later for earlier, later in pairwise(times_ns)):
            raise ValueError("starts that do not ascend from 0 to the period")

    @property
    def mean_bps(self) -> int:
        """The rate on average over a period."""
        lengths = [end - start for start, end in pairwise((*self.starts_ns, self.period_ns))]
        return sum(rate * length for rate, length in zip(self.rates_bps, lengths, strict=True)) // self.period_ns


Trace = Opportunities | RateSteps
"""A rate that changes."""


class DropTail(Variant, frozen=True, tag="droptail"):
    """A full queue drops the packet that arrives."""

    def __str__(self) -> str:
        return self.kind


class DropHead(Variant, frozen=True, tag="drophead"):
    """A full queue drops the packet that has waited longest."""

    def __str__(self) -> str:
        return self.kind


class CoDel(Variant, frozen=True, kw_only=True, tag="codel"):
    """A queue that also drops packets that have waited too long (RFC 8289).

    Attributes:
        target_ns, interval_ns: CoDel tolerates a wait longer than `target_ns` for `interval_ns`; both more than 0.
        ecn: ECN-capable packets (RFC 3168) are marked instead of dropped.
    """

    target_ns: int = 5_000_000
    interval_ns: int = 100_000_000
    ecn: bool = False

    def __post_init__(self) -> None:
        if min(self.target_ns, self.interval_ns) < 1:
            raise ValueError("CoDel's target and interval are more than 0")

    def __str__(self) -> str:
        return f"{self.kind}{' with ECN' if self.ecn else ''}"


class FqCoDel(CoDel, frozen=True, kw_only=True, tag="fq_codel"):
    """A queue per flow, each with CoDel, which take turns (RFC 8290). Attributes as in `CoDel`."""


Discipline = DropTail | DropHead | CoDel | FqCoDel
"""The discipline of a queue: which packets it drops or marks."""

DROP_TAIL = DropTail()
"""The default discipline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """A transmitter of limited rate, and the queue before it.

    Attributes:
        rate: of the transmitter.
        queue_bytes: bytes of waiting frames that the queue can hold, more than 0.
        queue_ns: the size of the queue as a time, if the file gives it so and it follows the rate; otherwise 0.
        discipline: of the queue.
        overhead_bytes: bytes that each frame counts for besides its own.
    """

    OMIT_DEFAULTS: ClassVar = True

    rate: FixedRate | Trace
    queue_bytes: int
    queue_ns: int = field(default=0, metadata=NOT_DECISIVE)
    discipline: Discipline = DROP_TAIL
    overhead_bytes: int = 0

    def __post_init__(self) -> None:
        if self.queue_bytes < 1 or min(self.queue_ns, self.overhead_bytes) < 0:
            raise ValueError(f"a queue that holds nothing, or a negative part: {self}")

    @property
    def longest_wait_ns(self) -> int:
        """The longest time that a packet may wait: for a full queue and a period of the trace."""
        period_ns = 0 if isinstance(self.rate, FixedRate) else self.rate.period_ns
        return period_ns + self.queue_bytes * 8 * _SECOND_NS // self.rate.mean_bps

    def descriptions(self) -> Iterator[str]:
        """Yield its properties in the words of a topology file: `rate 8 mbit/s`, `queue 64 KB codel`."""
        if isinstance(self.rate, FixedRate):
            yield f"rate {units.RATE.format(self.rate.bps)}"
        else:
            yield f"rate {self.rate.mean_bps / 10**6:.3g} mbit/s on average, by trace"
        if self.overhead_bytes:
            yield f"overhead {units.SIZE.format(self.overhead_bytes)}"
        how = "" if self.discipline == DROP_TAIL else f" {self.discipline}"
        yield f"queue {units.SIZE.format(self.queue_bytes)}{how}"
