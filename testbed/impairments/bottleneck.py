"""The bottleneck of a link: a transmitter, and the queue before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from testbed import units
from testbed.codec import Variant
from testbed.decisive import NOT_DECISIVE
from testbed.impairments.disciplines import DROP_TAIL, Discipline
from testbed.impairments.traces import Trace  # noqa: TC001  # msgspec reads the annotations

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


class TokenBucket(FixedRate, frozen=True, kw_only=True, tag="token-bucket"):
    """A transmitter of constant rate that sends a burst faster: a token bucket shaper.

    The bucket is full at first and whenever impairments are applied. In any time t no more is sent than the burst and
    the rate times t, nor more than the peak times t, and no less if so much waits: a greedy shaper (Le Boudec and
    Thiran, Network Calculus, 1.5). With a burst of 0, it would be a `FixedRate`.

    Attributes:
        bps: rate at which tokens come.
        burst_bytes: how much the bucket holds, more than 0.
        peak_bps: rate at which a burst is sent, more than `bps`; 0 is at once.
    """

    burst_bytes: int
    peak_bps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.burst_bytes < 1 or 0 < self.peak_bps <= self.bps or self.peak_bps < 0:
            raise ValueError(f"a token bucket that holds nothing, or whose peak is no more than its rate: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policer:
    """A token bucket that drops: packets within its rate pass without delay, those beyond it are lost.

    The bucket is full at first. A packet takes as many tokens as its frame has bytes; if there are too few, it is
    dropped and takes none (RFC 2697, with one bucket).

    Attributes:
        rate_bps: bit/s of Ethernet frames without preamble and checksum at which tokens come, more than 0.
        burst_bytes: how much the bucket holds, more than 0.
    """

    rate_bps: int
    burst_bytes: int

    def __post_init__(self) -> None:
        if min(self.rate_bps, self.burst_bytes) < 1:
            raise ValueError(f"a policer that lets nothing pass: {self}")

    def __str__(self) -> str:
        return f"{units.RATE.format(self.rate_bps)} burst {units.SIZE.format(self.burst_bytes)}"


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

    rate: FixedRate | TokenBucket | Trace
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
            yield f"rate {units.RATE.format(self.rate.bps)}{_burst(self.rate)}"
        else:
            yield f"rate {self.rate.mean_bps / 10**6:.3g} mbit/s on average, by trace"
        if self.overhead_bytes:
            yield f"overhead {units.SIZE.format(self.overhead_bytes)}"
        how = "" if self.discipline == DROP_TAIL else f" {self.discipline}"
        yield f"queue {units.SIZE.format(self.queue_bytes)}{how}"


def _burst(rate: FixedRate) -> str:
    """Return the burst and the peak of a rate that has them: ` burst 1 MB peak 100 mbit/s`."""
    if not isinstance(rate, TokenBucket):
        return ""
    peak = f" peak {units.RATE.format(rate.peak_bps)}" if rate.peak_bps else ""
    return f" burst {units.SIZE.format(rate.burst_bytes)}{peak}"
