"""Loss of packets: independent, correlated, in bursts, total, or by script."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from testbed import units
from testbed.codec import Variant
from testbed.impairments.probability import CERTAIN, RandomEvent, percent, require_probability
from testbed.impairments.traces import LossSteps

PROTOCOLS = ("any", "arp", "icmp", "tcp", "udp")

_FLAGS = "fsrpau"


class IndependentLoss(Variant, frozen=True, kw_only=True, tag="independent"):
    """Each packet is lost with the same probability, independently of the others.

    Attributes:
        probability: in 1/2^32, more than 0.
    """

    probability: int

    def __post_init__(self) -> None:
        require_probability(self.probability, "probability", least=1)

    def __str__(self) -> str:
        return units.PROBABILITY.format(self.probability)


class CorrelatedLoss(Variant, frozen=True, kw_only=True, tag="correlated"):
    """Packets are lost by correlated random numbers, each of which depends on the one before, as in netem.

    Attributes:
        probability, correlation: as in `RandomEvent`, both more than 0.
    """

    probability: int
    correlation: int

    def __post_init__(self) -> None:
        require_probability(self.probability, "probability", least=1)
        require_probability(self.correlation, "correlation", least=1)

    def __str__(self) -> str:
        return str(RandomEvent(probability=self.probability, correlation=self.correlation))


class GilbertElliott(Variant, frozen=True, kw_only=True):
    """Loss that comes in bursts: a chain of a good and a bad state, which moves before each packet (RFC 6534, 3.2).

    Attributes, all probabilities in 1/2^32:
        to_bad, to_good: of leaving the good state and the bad one.
        loss_good, loss_bad: of losing a packet in each.
    """

    to_bad: int
    to_good: int
    loss_good: int = 0
    loss_bad: int = CERTAIN

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            require_probability(getattr(self, name), name)

    def __str__(self) -> str:
        if (self.loss_good, self.loss_bad) == (0, CERTAIN) and self.to_bad and self.to_good:
            rate = CERTAIN * self.to_bad // (self.to_bad + self.to_good)
            return f"{percent(rate)} in bursts of {CERTAIN / self.to_good:.3g}"
        good, bad = percent(self.loss_good), percent(self.loss_bad)
        return f"{good} (good) and {bad} (bad, entered {percent(self.to_bad)}, left {percent(self.to_good)})"


class FourState(Variant, frozen=True, kw_only=True):
    """Loss by netem's Markov chain of four states (Salsano et al., "Definition of a general and intuitive loss model").

    State 1 delivers (good), 2 delivers within a burst, 3 loses within a burst, 4 loses one packet alone. All in 1/2^32.
    Of the two ways out of state 1 (`p13`, `p14`) one is taken at most, and of those out of state 3 (`p31`, `p32`).
    """

    p13: int
    p31: int
    p32: int
    p23: int
    p14: int

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            require_probability(getattr(self, name), name)
        for names, leaving in (("p13 and p14", self.p13 + self.p14), ("p31 and p32", self.p31 + self.p32)):
            if leaving > CERTAIN:
                raise ValueError(f"{names} add up to {percent(leaving)}, more than certainty")

    def __str__(self) -> str:
        chances = ", ".join(f"{name} {percent(getattr(self, name))}" for name in self.__struct_fields__)
        return f"of four states ({chances})"


RandomLoss = IndependentLoss | CorrelatedLoss | GilbertElliott | FourState | LossSteps


class Blackhole(Variant, frozen=True, kw_only=True):
    """Everything is lost, until the blackhole ends.

    Attributes:
        hidden: the loss that the link has again when the blackhole ends.
    """

    NOT_DECISIVE: ClassVar = ("hidden",)

    hidden: RandomLoss | None = None

    def __str__(self) -> str:
        return units.PROBABILITY.format(CERTAIN)


Loss = RandomLoss | Blackhole


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Packets lost by script: of those that match, the numbered ones, or every n-th.

    Attributes:
        protocol: `any` (every frame), `arp`, `icmp`, `tcp` or `udp` (over IPv4 or IPv6).
        port: source or destination port of TCP or UDP; 0 is any.
        flags: letters of the TCP flags that must be set, of `fsrpau`; a letter in capitals must not be set.
        payload: only packets that carry TCP or UDP payload, or only those that don't; None is either.
        numbers: which of the packets that match, counted from 1 since the impairments were applied, ascending.
        every: the n-th, 2n-th, ... that match; 0 is none.
    """

    protocol: str = "any"
    port: int = 0
    flags: str = ""
    payload: bool | None = None
    numbers: tuple[int, ...] = ()
    every: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"no protocol is called {self.protocol!r}")
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"{self.port} is no port")
        if self.protocol in ("arp", "icmp") and (self.port or self.payload is not None):
            raise ValueError(f"{self.protocol} has neither ports nor a payload that counts")
        if self.flags and self.protocol != "tcp":
            raise ValueError(f"only tcp has flags, not {self.protocol}")
        letters = self.flags.lower()
        if len(set(letters)) < len(letters) or not set(letters) <= set(_FLAGS):
            raise ValueError(f"{self.flags!r} are no TCP flags: each of {_FLAGS} once at most")
        if self.every < 0 or min(self.numbers, default=1) < 1:
            raise ValueError("packets are counted from 1")
        if any(number >= following for number, following in pairwise(self.numbers)):
            raise ValueError(f"{self.numbers} do not ascend")
        if not self.numbers and not self.every:
            raise ValueError("a script says which packets it drops: numbers or every")

    def __str__(self) -> str:
        which = [f"no. {', '.join(map(str, self.numbers))}"] * bool(self.numbers) + [f"every {self.every}."] * bool(
            self.every
        )
        what = [self.protocol] * (self.protocol != "any") + [f"flags {self.flags}"] * bool(self.flags)
        what += [f"port {self.port}"] * bool(self.port)
        what += [] if self.payload is None else ["with payload" if self.payload else "without payload"]
        return f"{' and '.join(which)} of {' '.join(what) or 'all'}"
