"""Packets that come at another time, in another place, or not as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testbed import units
from testbed.impairments.probability import RandomEvent, percent, require_probability

NamedDistribution = Literal["uniform", "normal", "pareto", "paretonormal"]

_FURTHEST_DEVIATIONS = 4
"""Standard deviations: as far as the tables of `testbed.impairments.distributions` go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """How the delay of a packet differs from the link's.

    Attributes:
        ns: how far, more than 0. `uniform` spreads the delay evenly over `ns` either way; of the other distributions
            `ns` is the standard deviation, and a packet is never sent before it arrived.
        distribution: a name, or a table: the quantiles at equal steps, in 1/8192 of a standard deviation (netem's unit,
            NETEM_DIST_SCALE).
        correlation: of one packet's deviation with the one before, in 1/2^32, as in `RandomEvent`.
        keeps_order: no packet overtakes the one before it; else they leave as their delays say.
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
        """How far a packet's delay may differ at most."""
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
    """Packets that leave their place: either they skip the delay, or they are held longer.

    Attributes:
        event: that it happens to a packet.
        gap: only every so many packets can be chosen, as netem's `gap`; 0 and 1 are any.
        late_ns: 0: a chosen packet is sent at once and so overtakes those in flight (what netem does); else a chosen
            packet is held for so much longer, and those behind it overtake.
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
        fix_checksum: the bit is one of the TCP or UDP payload and the checksum is made to fit, so that the
            application sees it; else any bit of the IP packet, and the checksum tells (or the header is beyond use).
    """

    event: RandomEvent
    fix_checksum: bool = False

    def __str__(self) -> str:
        return f"{self.event}{' with the right checksum' if self.fix_checksum else ''}"
