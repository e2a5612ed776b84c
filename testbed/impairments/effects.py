"""Impairments other than loss and rate: jitter, reordering and corruption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testbed import units
from testbed.impairments.probability import RandomEvent, percent, require_probability

NamedDistribution = Literal["uniform", "normal", "pareto", "paretonormal"]

_FURTHEST_DEVIATIONS = 4
"""The largest deviation in the tables of `testbed.impairments.distributions`, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """How the delay of a packet differs from the link's.

    Attributes:
        ns: the amount, more than 0. `uniform` spreads the delay evenly over `ns` in either direction; for the other
            distributions `ns` is the standard deviation, and a packet is never sent before it arrived.
        distribution: a name, or a table: the quantiles at equal steps, in 1/8192 of a standard deviation (netem's unit,
            NETEM_DIST_SCALE).
        correlation: of one packet's deviation with the one before, in 1/2^32, as in `RandomEvent`.
        keeps_order: no packet overtakes the one before it; otherwise packets leave when their delays end.
    """

    OMIT_DEFAULTS: ClassVar = True

    ns: int
    distribution: NamedDistribution | tuple[int, ...] = "uniform"
    correlation: int = 0
    keeps_order: bool = True

    def __post_init__(self) -> None:
        if self.ns < 1:
            raise ValueError(f"a jitter of {self.ns} ns; no jitter is None")
        if not self.distribution:
            raise ValueError("a distribution's table is empty")
        require_probability(self.correlation, "correlation")

    @property
    def furthest_ns(self) -> int:
        """The most by which the delay of a packet may exceed the link's, ns."""
        return self.ns if self.distribution == "uniform" else _FURTHEST_DEVIATIONS * self.ns

    def __str__(self) -> str:
        words = [units.DURATION.format(self.ns)]
        if self.distribution != "uniform" or self.correlation or not self.keeps_order:
            words.append("table" if isinstance(self.distribution, tuple) else self.distribution)
        if self.correlation:
            words.append(f"correlated by {percent(self.correlation)}")
        return " ".join([*words, *["in any order"] * (not self.keeps_order)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """Some packets change their place in the order: they either skip the delay or are delayed longer.

    Attributes:
        event: that it happens to a packet.
        gap: only every gap-th packet can be chosen, like netem's `gap`; 0 and 1 mean any packet.
        late_ns: how much longer a chosen packet is delayed, so that those behind overtake it; if 0, a chosen packet is
            sent at once and overtakes those in flight, as in netem.
    """

    event: RandomEvent
    gap: int = 0
    late_ns: int = 0

    def __post_init__(self) -> None:
        if min(self.gap, self.late_ns) < 0:
            raise ValueError(f"a negative gap or time: {self.gap}, {self.late_ns}")

    def __str__(self) -> str:
        gap = [f"of every {self.gap}."] * (self.gap > 1)
        return " ".join(
            [str(self.event), *gap, f"{units.DURATION.format(self.late_ns)} late" if self.late_ns else "ahead"]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One bit, at random, is inverted in some packets.

    Attributes:
        event: that it happens to a packet.
        fix_checksum: the bit is in the TCP or UDP payload, and the checksum is updated so that the application
            receives the error; otherwise it is any bit of the IP packet, and the checksum or the header is wrong.
    """

    event: RandomEvent
    fix_checksum: bool = False

    def __str__(self) -> str:
        return f"{self.event}{' with the right checksum' if self.fix_checksum else ''}"
