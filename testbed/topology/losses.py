"""The keys of loss: random, in bursts, by a Markov chain, or by script."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from testbed import units
from testbed.impairments import CERTAIN, CorrelatedLoss, Drop, FourState, GilbertElliott, IndependentLoss, LossSteps
from testbed.topology.base import Fault, Model, Short, key
from testbed.topology.referenced_files import Beside
from testbed.topology.traces import losses
from testbed.topology.values import Burst, Count, Port, Probability, schema_of

_ROUNDING = Fraction(1, 2)
"""How far a probability may be from what the file says."""


class LossShare(Model):
    """Packets lost at random."""

    rate: Probability = key("Share of packets that are lost")
    correlation: Probability = key("How much each draw depends on the previous one", default=0, written="0%")

    @property
    def loss(self) -> IndependentLoss | CorrelatedLoss | None:
        """The loss of a link; None if nothing is lost."""
        if self.rate and self.correlation:
            return CorrelatedLoss(probability=self.rate, correlation=self.correlation)
        return IndependentLoss(probability=self.rate) if self.rate else None

    def faults(self) -> Iterator[Fault]:
        """Yield no faults."""
        yield from ()


class Bursts(Model):
    """Loss in bursts, given by its rate and the mean length of a burst."""

    rate: Probability = key("Share of packets that are lost, on average")
    burst: Burst = key("How many packets in a row are lost, on average")

    @property
    def loss(self) -> GilbertElliott | None:
        """A Gilbert-Elliott chain that loses all packets in its bad state and none in its good one.

        A stay in the bad state lasts 1 / to_good packets, and to_bad / (to_bad + to_good) of all packets meet it.
        """
        if not self.rate:
            return None
        to_bad = min(round(self._to_bad(self.rate) * CERTAIN), CERTAIN)
        return GilbertElliott(to_bad=to_bad, to_good=round(CERTAIN / self.burst))

    def _to_bad(self, rate: int | Fraction) -> Fraction:
        return Fraction(rate) / (self.burst * (CERTAIN - rate))

    def faults(self) -> Iterator[Fault]:
        """Yield a fault if no chain has this rate: bursts are separated by at least one delivered packet."""
        rate = units.PROBABILITY.format(self.rate)
        if self.rate and self._to_bad(self.rate - _ROUNDING) > 1:
            most = f"{float(100 * self.burst / (self.burst + 1)):.4g} %"
            message = f"is {rate}, more than bursts of {float(self.burst):g} can lose with a packet between them"
            yield Fault(("rate",), "impossible-burst", message, f"at most {most}; or longer bursts")
        elif self.rate and not round(self._to_bad(self.rate) * CERTAIN):
            message = f"is {rate}, too little for bursts of {float(self.burst):g}"
            yield Fault(("rate",), "impossible-burst", message, "a higher rate, or shorter bursts")


class TwoStates(Model):
    """Loss by a Gilbert-Elliott chain (RFC 6534, section 3.2)."""

    to_bad: Probability = key("Probability of leaving the good state, before each packet")
    to_good: Probability = key("Probability of leaving the bad state, before each packet")
    good: Probability = key("Share of packets lost in the good state", default=0, written="0%")
    bad: Probability = key("Share of packets lost in the bad state", default=CERTAIN, written="100%")

    @property
    def loss(self) -> GilbertElliott:
        """The loss of a link."""
        return GilbertElliott(to_bad=self.to_bad, to_good=self.to_good, loss_good=self.good, loss_bad=self.bad)

    def faults(self) -> Iterator[Fault]:
        """Yield no faults."""
        yield from ()


class FourStates(Model):
    """Loss by netem's chain of four states: 1 delivers, 2 delivers within a burst, 3 loses in a burst, 4 loses one."""

    p13: Probability = key("Probability of a burst's start")
    p31: Probability = key("Probability of a burst's end")
    p32: Probability = key("Probability of deliveries within a burst", default=0, written="0%")
    p23: Probability = key("Probability of their end", default=CERTAIN, written="100%")
    p14: Probability = key("Probability of a single loss between bursts", default=0, written="0%")

    @property
    def loss(self) -> FourState:
        """The loss of a link."""
        return FourState(p13=self.p13, p31=self.p31, p32=self.p32, p23=self.p23, p14=self.p14)

    def faults(self) -> Iterator[Fault]:
        """Yield a fault for each state whose probabilities of leaving it exceed 1 in total."""
        for first, second in (("p13", "p14"), ("p31", "p32")):
            total = getattr(self, first) + getattr(self, second)
            if total > CERTAIN:
                message = f"and {second} add up to {float(100 * total / CERTAIN):g} %, must be at most 100 %"
                yield Fault((first,), "impossible-loss", message, "they are the two ways out of one state")


class TracedLoss(Model):
    """Loss with a probability that follows a trace."""

    trace: Annotated[LossSteps, Beside(losses, ("traces/handover-loss.csv",))] = key(
        "A file beside the topology: lines of TIME,LOSS"
    )

    @property
    def loss(self) -> LossSteps:
        """The loss of a link."""
        return self.trace

    def faults(self) -> Iterator[Fault]:
        """Yield no faults."""
        yield from ()


def _loss_tag(value: object) -> str:
    keys = value.keys() if isinstance(value, dict) else set()
    if "trace" in keys:
        return "<trace>"
    if keys & {"p13", "p31", "p32", "p23", "p14"}:
        return "<four-states>"
    if keys & {"to_bad", "to_good", "good", "bad"}:
        return "<two-states>"
    return "<bursts>" if "burst" in keys else "<random>"


LossValue = Annotated[
    Annotated[LossShare, Tag("<random>")]
    | Annotated[Bursts, Tag("<bursts>")]
    | Annotated[TwoStates, Tag("<two-states>")]
    | Annotated[FourStates, Tag("<four-states>")]
    | Annotated[TracedLoss, Tag("<trace>")],
    Discriminator(_loss_tag),
    Short("rate", schema_of(Probability)),
]

Kind = Literal["any", "arp", "icmp", "udp", "tcp", "syn", "syn-ack", "ack", "data", "fin", "rst"]

_KINDS: dict[str, Drop] = {
    "syn": Drop(protocol="tcp", flags="sA", every=1),
    "syn-ack": Drop(protocol="tcp", flags="sa", every=1),
    "ack": Drop(protocol="tcp", flags="aSFR", payload=False, every=1),
    "data": Drop(protocol="tcp", payload=True, every=1),
    "fin": Drop(protocol="tcp", flags="f", every=1),
    "rst": Drop(protocol="tcp", flags="r", every=1),
}
"""The packets that each kind selects, except for kinds that are names of protocols."""


class Script(Model):
    """Packets lost by script: of one kind, the first, the numbered ones or every n-th."""

    first: Kind | None = key("The kind of packet of which the first is lost", default=None, example="syn")
    packets: Kind | None = key(
        "The kind of packet that is counted, with numbers or every; any unless given", default=None, example="data"
    )
    numbers: Annotated[tuple[Count, ...], Field(min_length=1)] | None = key(
        "Which of them are lost, from 1, in ascending order", default=None, example=[2, 5]
    )
    every: Count | None = key("The n-th, 2n-th, ... of them are lost", default=None, example=10)
    port: Port | None = key("Only packets from or to this TCP or UDP port", default=None, example=443)

    @property
    def drop(self) -> Drop:
        """The packets that the script drops."""
        kind = self.first or self.packets or "any"
        chosen = _KINDS.get(kind)
        return Drop(
            protocol=chosen.protocol if chosen else kind,
            flags=chosen.flags if chosen else "",
            payload=chosen.payload if chosen else None,
            port=self.port or 0,
            numbers=self.numbers or ((1,) if self.first else ()),
            every=self.every or 0,
        )

    def faults(self) -> Iterator[Fault]:
        """Yield the contradictions: the packets are selected in exactly one way, and only TCP and UDP have ports."""
        ways = [name for name in ("first", "numbers", "every") if getattr(self, name) is not None]
        hint = "first: KIND, or numbers: [...], or every: N"
        if not ways:
            yield Fault((), "missing-key", "does not say which packets are lost", hint)
        for way in ways[1:]:
            yield Fault((way,), "conflicting-keys", f"is given beside {ways[0]}", hint)
        if self.first and self.packets:
            yield Fault(("packets",), "conflicting-keys", "is given beside first, which says it", hint)
        yield from _ascending(self.numbers or (), "numbers")
        kind = self.first or self.packets
        if self.port is not None and kind in ("arp", "icmp"):
            yield Fault(("port",), "conflicting-keys", f"is given, and {kind} has no ports")


def _ascending(numbers: tuple[int, ...], *path: str) -> Iterator[Fault]:
    for index, (number, following) in enumerate(pairwise(numbers), start=1):
        if number >= following:
            yield Fault((*path, index), "not-ascending", f"is {following}, after {number}", "numbers ascend")


def _drop_tag(value: object) -> str:
    if not isinstance(value, list):
        return "<one>"
    return "<several>" if any(isinstance(item, dict) for item in value) else "<numbers>"


Drops = Annotated[
    Annotated[tuple[Count, ...], Tag("<numbers>")]
    | Annotated[Script, Tag("<one>")]
    | Annotated[tuple[Script, ...], Tag("<several>"), Field(min_length=1)],
    Discriminator(_drop_tag),
]
"""Numbers of packets, a script or several."""


def drops(value: tuple[int, ...] | Script | tuple[Script, ...]) -> tuple[Drop, ...]:
    """Return the scripted losses of a link, from a value of `Drops`."""
    if isinstance(value, Script):
        return (value.drop,)
    numbers = tuple(item for item in value if isinstance(item, int))
    scripted = tuple(item.drop for item in value if isinstance(item, Script))
    return (Drop(numbers=numbers), *scripted) if numbers else scripted


def drop_faults(value: tuple[int, ...] | Script | tuple[Script, ...]) -> Iterator[Fault]:
    """Yield the contradictions in a value of `Drops`."""
    if isinstance(value, Script):
        yield from value.faults()
        return
    yield from _ascending(tuple(item for item in value if isinstance(item, int)))
    for index, item in enumerate(value):
        if isinstance(item, Script):
            yield from (fault.under(index) for fault in item.faults())
