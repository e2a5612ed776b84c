"""Probabilities, and events that happen to some packets."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import units

CERTAIN = units.CERTAIN
"""The probability 1 in the unit of every probability here, 1/2^32."""


def require_probability(value: int, name: str, *, least: int = 0) -> None:
    """Raise ValueError unless `value` is a probability from `least` to `CERTAIN`; the message begins with `name`."""
    if not least <= value <= CERTAIN:
        raise ValueError(f"{name} {value} is not between {least} and {CERTAIN} (certain)")


def percent(probability: int) -> str:
    """`probability` to three significant digits, for people to read."""
    return f"{100 * probability / CERTAIN:.3g} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEvent:
    """Something that happens to some packets.

    Attributes:
        probability: that it happens to a packet, in 1/2^32, more than 0.
        correlation: how much each draw depends on the one before it, in 1/2^32: netem's linear mix of the two
            (net/sched/sch_netem.c, `get_crandom`), with its known effect on the probability itself.
    """

    probability: int
    correlation: int = 0

    def __post_init__(self) -> None:
        require_probability(self.probability, "probability", least=1)
        require_probability(self.correlation, "correlation")

    def __str__(self) -> str:
        correlated = f" correlated by {percent(self.correlation)}" if self.correlation else ""
        return f"{percent(self.probability)}{correlated}"
