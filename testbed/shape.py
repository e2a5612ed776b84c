"""What a link does to the packets that cross it, in integers: the vocabulary that plan and engines share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTAIN = units.CERTAIN
"""The probability 1 in the unit of every probability here, 1/2^32."""

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal", "table")
DISCIPLINES = ("droptail", "drophead", "codel", "fq_codel")
PROTOCOLS = ("any", "arp", "icmp", "tcp", "udp")

_FLAGS = "fsrpau"
_SECOND_NS = 10**9


def _within(probability: int, what: str) -> None:
    if not 0 <= probability <= CERTAIN:
        raise ValueError(f"{what} of {probability} is not between 0 and {CERTAIN}, which is always")


def _percent(probability: int) -> str:
    """`probability` to three significant digits, for people to read."""
    return f"{100 * probability / CERTAIN:.3g} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Something that happens to some packets.

    Attributes:
        probability: that it happens to a packet, in 1/2^32.
        correlation: how much each draw takes after the one before it, in 1/2^32: netem's linear mix of the two
            (net/sched/sch_netem.c, `get_crandom`), with its known effect on the probability itself.
    """

    probability: int = 0
    correlation: int = 0

    def __post_init__(self) -> None:
        _within(self.probability, "a probability")
        _within(self.correlation, "a correlation")

    def __str__(self) -> str:
        correlated = f" correlated by {_percent(self.correlation)}" if self.correlation else ""
        return f"{_percent(self.probability)}{correlated}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GilbertElliott:
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
        for one in fields(self):
            _within(getattr(self, one.name), one.name)

    def __str__(self) -> str:
        if (self.loss_good, self.loss_bad) == (0, CERTAIN) and self.to_bad and self.to_good:
            rate = CERTAIN * self.to_bad // (self.to_bad + self.to_good)
            return f"{_percent(rate)} in bursts of {CERTAIN / self.to_good:.3g}"
        good, bad = _percent(self.loss_good), _percent(self.loss_bad)
        return f"{good} (good) and {bad} (bad, entered {_percent(self.to_bad)}, left {_percent(self.to_good)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FourState:
    """Loss by netem's Markov chain of four states (Salsano et al., "Definition of a general and intuitive loss model").

    State 1 delivers (good), 2 delivers within a burst, 3 loses within a burst, 4 loses one packet alone. All in 1/2^32.
    """

    p13: int
    p31: int
    p32: int
    p23: int
    p14: int

    def __post_init__(self) -> None:
        for one in fields(self):
            _within(getattr(self, one.name), one.name)

    def __str__(self) -> str:
        return (
            "of four states ("
            + ", ".join(f"{one.name} {_percent(getattr(self, one.name))}" for one in fields(self))
            + ")"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Packets lost by script: of those that match, the numbered ones, or every so many.

    Attributes:
        protocol: `any` (whatever the frame), `arp`, `icmp`, `tcp` or `udp` (over IPv4 or IPv6).
        port: source or destination port of TCP or UDP; 0 is any.
        flags: letters of the TCP flags that must be set, of `fsrpau`; a letter in capitals must not be set.
        with_payload: only packets that carry TCP or UDP payload.
        numbers: which of the packets that match, counted from 1 since the shape was applied, ascending.
        every: the n-th, 2n-th, ... that match; 0 is none.
    """

    protocol: str = "any"
    port: int = 0
    flags: str = ""
    with_payload: bool = False
    numbers: tuple[int, ...] = ()
    every: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"no protocol is called {self.protocol!r}")
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"{self.port} is no port")
        if self.protocol in ("arp", "icmp") and (self.port or self.with_payload):
            raise ValueError(f"{self.protocol} has neither ports nor a payload that counts")
        if self.flags and self.protocol != "tcp":
            raise ValueError(f"only tcp has flags, not {self.protocol}")
        letters = self.flags.lower()
        if len(set(letters)) < len(letters) or not set(letters) <= set(_FLAGS):
            raise ValueError(f"{self.flags!r} are no TCP flags: each of {_FLAGS} once at most")
        if self.every < 0 or min(self.numbers, default=1) < 1:
            raise ValueError("packets are counted from 1")
        if any(one >= other for one, other in pairwise(self.numbers)):
            raise ValueError(f"{self.numbers} do not ascend")
        if not self.numbers and not self.every:
            raise ValueError("a script says which packets it drops: numbers or every")

    def __str__(self) -> str:
        which = [f"no. {', '.join(map(str, self.numbers))}"] * bool(self.numbers) + [f"every {self.every}."] * bool(
            self.every
        )
        what = [self.protocol] * (self.protocol != "any") + [f"flags {self.flags}"] * bool(self.flags)
        what += [f"port {self.port}"] * bool(self.port) + ["with payload"] * self.with_payload
        return f"{' and '.join(which)} of {' '.join(what) or 'all'}"


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
        _within(self.correlation, "a correlation")

    def __str__(self) -> str:
        correlated = [f"correlated by {_percent(self.correlation)}"] * bool(self.correlation)
        return " ".join([self.distribution, *correlated, *["in any order"] * (not self.keeps_order)])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunities:
    """A bottleneck that sends at given times, as in Mahimahi's traces: one line, one packet.

    Attributes:
        times_ns: when it may send, ascending, since the shape was applied; they repeat every `period_ns`.
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
class RateSteps:
    """A bottleneck whose rate changes.

    Attributes:
        starts_ns: when each rate begins, ascending from 0, since the shape was applied; they repeat every `period_ns`.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One direction of a link.

    A packet meets the stages in this order, in both engines:

    1. script: it is dropped if `drops` says so;
    2. loss: it is dropped at random;
    3. corruption: a bit of it is inverted at random;
    4. duplication: it goes on twice at random;
    5. delay: it is held for `delay_ns`, give or take its jitter; it may leave its place;
    6. bottleneck: it waits in a queue for a transmitter of limited rate, or of a rate that follows a trace.

    Attributes:
        delay_ns: propagation delay, nanoseconds.
        jitter_ns: how far a packet's delay differs from that, at most `delay_ns`; `variation` says how.
        variation: of the delay.
        loss: probability that a packet is lost, independently of all others, in 1/2^32, from 0 to `CERTAIN`.
        loss_model: loss of another kind, instead of `loss`.
        drops: losses by script.
        corruption, duplicate, reorder: None where it does not happen.
        rate_bps: rate of the bottleneck, bit/s of Ethernet frames without preamble and checksum; 0 is unlimited.
        trace: the bottleneck's rate over time, instead of `rate_bps`.
        overhead_bytes: what each frame counts for at the bottleneck beside its own bytes.
        queue_bytes: bytes of waiting frames that the bottleneck's queue holds; 0 only where there is no bottleneck.
        discipline: of that queue.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    variation: Variation = Variation()
    loss: int = 0
    loss_model: Chance | GilbertElliott | FourState | None = None
    drops: tuple[Drop, ...] = ()
    corruption: Corruption | None = None
    duplicate: Chance | None = None
    reorder: Reorder | None = None
    rate_bps: int = 0
    trace: Opportunities | RateSteps | None = None
    overhead_bytes: int = 0
    queue_bytes: int = 0
    discipline: Discipline = Discipline()

    def __post_init__(self) -> None:
        if min(self.delay_ns, self.jitter_ns, self.rate_bps, self.queue_bytes, self.overhead_bytes) < 0:
            raise ValueError(f"a shape has no negative part: {self}")
        _within(self.loss, "loss")
        if self.jitter_ns > self.delay_ns:
            raise ValueError(f"jitter {self.jitter_ns} ns is more than the delay, {self.delay_ns} ns")
        if self.loss and self.loss_model:
            raise ValueError("a link has one model of loss")
        if self.rate_bps and self.trace:
            raise ValueError("a bottleneck has a rate or a trace, not both")
        if self.has_bottleneck != bool(self.queue_bytes):
            raise ValueError(f"a bottleneck and a queue go together: {self.rate_bps} bit/s, {self.queue_bytes} bytes")

    @property
    def has_bottleneck(self) -> bool:
        """Whether the rate is limited."""
        return bool(self.rate_bps or self.trace)

    @property
    def is_random(self) -> bool:
        """Whether chance has a part in what becomes of a packet."""
        parts = self.loss_model, self.corruption, self.duplicate, self.reorder
        return bool(self.jitter_ns or 0 < self.loss < CERTAIN or any(parts))

    @property
    def is_clear(self) -> bool:
        """Whether packets cross untouched, so that nothing needs to be done to the link."""
        return self == CLEAR

    def describe(self) -> str:
        """The shape in words: `delay 40 ms, loss 2 %`."""
        return ", ".join(self._words()) or "clear"

    def _words(self) -> Iterator[str]:
        if self.delay_ns:
            yield f"delay {units.DURATION.format(self.delay_ns)}"
        if self.jitter_ns:
            how = "" if self.variation == Variation() else f" {self.variation}"
            yield f"jitter {units.DURATION.format(self.jitter_ns)}{how}"
        if self.loss:
            yield f"loss {units.PROBABILITY.format(self.loss)}"
        for name, part in (
            ("loss", self.loss_model),
            *(("drop", one) for one in self.drops),
            ("corrupt", self.corruption),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
        ):
            if part is not None:
                yield f"{name} {part}"
        if self.rate_bps:
            yield f"rate {units.RATE.format(self.rate_bps)}"
        if self.trace:
            yield f"rate {self.trace.mean_bps / 10**6:.3g} mbit/s on average, by trace"
        if self.overhead_bytes:
            yield f"overhead {units.SIZE.format(self.overhead_bytes)}"
        if self.queue_bytes:
            how = "" if self.discipline == Discipline() else f" {self.discipline}"
            yield f"queue {units.SIZE.format(self.queue_bytes)}{how}"

    def to_json(self) -> dict[str, Any]:
        """The shape as a JSON object: what differs from a clear one. The keys of a part tell its kind."""
        return {one.name: _plain(value) for one in fields(self) if (value := getattr(self, one.name)) != one.default}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The shape that `to_json` made `data` from, also after a round trip through JSON text.

        Raises:
            ValueError, TypeError, KeyError: `data` is no shape.
        """
        made = dict(data)
        for name, kinds in _PARTS.items():
            if name in made:
                made[name] = _part(made[name], kinds)
        made["drops"] = tuple(_part(one, (Drop,)) for one in made.get("drops", ()))
        return cls(**made)


CLEAR = Shape()

_PARTS: dict[str, tuple[type, ...]] = {
    "variation": (Variation,),
    "loss_model": (Chance, GilbertElliott, FourState),
    "corruption": (Corruption,),
    "duplicate": (Chance,),
    "reorder": (Reorder,),
    "trace": (Opportunities, RateSteps),
    "discipline": (Discipline,),
}
"""Names of the parts of a shape that are objects to what each may be."""


def _part(data: dict[str, Any], kinds: tuple[type, ...]) -> Any:  # noqa: ANN401  # one of `kinds`
    kind = next((one for one in kinds if {field.name for field in fields(one)} == set(data)), None)
    if kind is None:
        raise ValueError(f"{data} is none of {', '.join(one.__name__ for one in kinds)}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    if "chance" in values:
        values["chance"] = Chance(**values["chance"])
    return kind(**values)


def _plain(value: Any) -> Any:  # noqa: ANN401  # a field of a shape, to JSON
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
