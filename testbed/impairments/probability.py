"""Probabilities, and what happens with one."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import units
from testbed.codec import Variants

CERTAIN = units.CERTAIN
"""The probability 1 in the unit of every probability here, 1/2^32."""


def within(probability: int, what: str) -> None:
    """Raise ValueError where `probability` is none; `what` it is of, for the message."""
    if not 0 <= probability <= CERTAIN:
        raise ValueError(f"{what} of {probability} is not between 0 and {CERTAIN}, which is always")


def percent(probability: int) -> str:
    """`probability` to three significant digits, for people to read."""
    return f"{100 * probability / CERTAIN:.3g} %"


class LossModel(Variants):
    """How packets are lost at random."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance(LossModel):
    """Something that happens to some packets.

    Attributes:
        probability: that it happens to a packet, in 1/2^32.
        correlation: how much each draw takes after the one before it, in 1/2^32: netem's linear mix of the two
            (net/sched/sch_netem.c, `get_crandom`), with its known effect on the probability itself.
    """

    probability: int = 0
    correlation: int = 0

    def __post_init__(self) -> None:
        within(self.probability, "a probability")
        within(self.correlation, "a correlation")

    def __str__(self) -> str:
        correlated = f" correlated by {percent(self.correlation)}" if self.correlation else ""
        return f"{percent(self.probability)}{correlated}"
