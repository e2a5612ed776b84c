"""Packets that come at another time, in another place, or not as they were."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import units
from testbed.impairments.probability import Chance, percent, within

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal", "table")

_FURTHEST_DEVIATIONS = 4
"""Standard deviations: as far as the tables of `testbed.impairments.distributions` go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How the delay of a packet differs from the link's.

    Attributes:
        distribution: one of `DISTRIBUTIONS`. `uniform` spreads the delay evenly over `jitter_ns` either way; of the
            others `jitter_ns` is the standard deviation, and a packet is never sent before it came.
        table: of the distribution `table` only: its quantiles at equal steps, in 1/8192 of a standard deviation
            (netem's unit, NETEM_DIST_SCALE).
        correlation: of one packet's deviation with the one before, in 1/2^32, as in `Chance`.
        keeps_order: no packet overtakes the one before it; else they come out as their delays say.
    """

    distribution: str = "uniform"
    table: tuple[int, ...] = ()
    correlation: int = 0
    keeps_order: bool = True

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"no distribution is called {self.distribution!r}")
        if (self.distribution == "table") != bool(self.table):
            raise ValueError("a table goes with the distribution of that name")
        within(self.correlation, "a correlation")

    def furthest_ns(self, jitter_ns: int) -> int:
        """How far a packet's delay may be off at most."""
        return jitter_ns if self.distribution == "uniform" else _FURTHEST_DEVIATIONS * jitter_ns

    def __str__(self) -> str:
        correlated = [f"correlated by {percent(self.correlation)}"] * bool(self.correlation)
        return " ".join([self.distribution, *correlated, *["in any order"] * (not self.keeps_order)])


EVEN = Variation()
"""The usual one: uniform, uncorrelated, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """Packets that leave their place: either they skip the delay, or they are held longer.

    Attributes:
        chance: that it happens to a packet.
        gap: only every so many packets can be chosen, as netem's `gap`; 0 and 1 are any.
        late_ns: 0: a chosen packet is sent at once and so overtakes those in flight (what netem does); else a chosen
            packet is held for so much longer, and those behind it overtake.
    """

    chance: Chance
    gap: int = 0
    late_ns: int = 0

    def __post_init__(self) -> None:
        if min(self.gap, self.late_ns) < 0:
            raise ValueError(f"a negative gap or time: {self.gap}, {self.late_ns}")

    def __str__(self) -> str:
        gap = [f"of every {self.gap}."] * (self.gap > 1)
        return " ".join(
            [str(self.chance), *gap, f"{units.DURATION.format(self.late_ns)} late" if self.late_ns else "ahead"]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One bit, at random, is inverted in some packets.

    Attributes:
        chance: that it happens to a packet.
        fix_checksum: the bit is one of the TCP or UDP payload and the checksum is made to fit, so that the
            application sees it; else any bit of the IP packet, and the checksum tells (or the header is beyond use).
    """

    chance: Chance
    fix_checksum: bool = False

    def __str__(self) -> str:
        return f"{self.chance}{' with the right checksum' if self.fix_checksum else ''}"
