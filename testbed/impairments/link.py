"""One direction of a link: everything that it does to packets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from testbed import codec, units
from testbed.decisive import NOT_DECISIVE
from testbed.impairments.bottleneck import DROPTAIL, Discipline, Trace
from testbed.impairments.effects import EVEN, Corruption, Reorder, Variation
from testbed.impairments.losses import Drop
from testbed.impairments.probability import CERTAIN, Chance, LossModel, within

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Settings of a link that have no effect now, kept for later changes; none of them changes what packets meet.

    Attributes:
        blackhole: a blackhole is why all packets are lost.
        loss, loss_model: as in `Impairments`, from when there is no blackhole.
        queue_ns: the time that the bottleneck's queue was given as, so that its size follows the rate; 0: it was not.
        overhead_bytes, queue_bytes, discipline: as in `Impairments`, from when there is a bottleneck.
    """

    OMIT_DEFAULTS: ClassVar = True

    blackhole: bool = False
    loss: int = 0
    loss_model: LossModel | None = None
    queue_ns: int = 0
    overhead_bytes: int = 0
    queue_bytes: int = 0
    discipline: Discipline = DROPTAIL


NOTHING_LATENT = Latent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairments:
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
        latent: what has no effect now.
    """

    OMIT_DEFAULTS: ClassVar = True

    delay_ns: int = 0
    jitter_ns: int = 0
    variation: Variation = EVEN
    loss: int = 0
    loss_model: LossModel | None = None
    drops: tuple[Drop, ...] = ()
    corruption: Corruption | None = None
    duplicate: Chance | None = None
    reorder: Reorder | None = None
    rate_bps: int = 0
    trace: Trace | None = None
    overhead_bytes: int = 0
    queue_bytes: int = 0
    discipline: Discipline = DROPTAIL
    latent: Latent = field(default=NOTHING_LATENT, metadata=NOT_DECISIVE)

    def __post_init__(self) -> None:
        if min(self.delay_ns, self.jitter_ns, self.rate_bps, self.queue_bytes, self.overhead_bytes) < 0:
            raise ValueError(f"a impairments has no negative part: {self}")
        within(self.loss, "loss")
        if self.jitter_ns > self.delay_ns:
            raise ValueError(f"jitter {self.jitter_ns} ns is more than the delay, {self.delay_ns} ns")
        if self.loss and self.loss_model:
            raise ValueError("a link has one model of loss")
        if self.rate_bps and self.trace:
            raise ValueError("a bottleneck has a rate or a trace, not both")
        if self.has_bottleneck != bool(self.queue_bytes):
            raise ValueError(f"a bottleneck and a queue go together: {self.rate_bps} bit/s, {self.queue_bytes} bytes")
        latent = self.latent
        if latent.blackhole < bool(latent.loss or latent.loss_model) or (latent.blackhole and self.loss != CERTAIN):
            raise ValueError("a blackhole loses everything, and only it makes a link's own loss latent")
        if self.has_bottleneck and (latent.overhead_bytes or latent.queue_bytes or latent.discipline != DROPTAIL):
            raise ValueError("a bottleneck that is there is not latent")

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
    def longest_ns(self) -> int:
        """The longest that a packet may be under way: delay, jitter, the time out of its place, and a full queue."""
        late_ns = self.reorder.late_ns if self.reorder else 0
        waits_ns = 0
        if self.has_bottleneck:
            rate_bps = self.trace.mean_bps if self.trace else self.rate_bps
            waits_ns = (self.trace.period_ns if self.trace else 0) + self.queue_bytes * 8 * 10**9 // rate_bps
        return self.delay_ns + self.variation.furthest_ns(self.jitter_ns) + late_ns + waits_ns

    @property
    def is_clear(self) -> bool:
        """Whether packets cross untouched, so that nothing needs to be done to the link."""
        return replace(self, latent=NOTHING_LATENT) == CLEAR

    def describe(self) -> str:
        """The impairments in words: `delay 40 ms, loss 2 %`."""
        return ", ".join(self.words()) or "clear"

    def words(self) -> Iterator[str]:
        """What it does, one by one; each begins with the word that a topology file has for it: `delay 40 ms`."""
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
        """The impairments as a JSON object: what differs from a clear one. The keys of a part tell its kind."""
        encoded: dict[str, Any] = codec.encode(self)
        return encoded

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The impairments that `to_json` made `data` from, also after a round trip through JSON text.

        Raises:
            UnreadableError: `data` is no impairments.
        """
        return codec.decode(data, cls)


CLEAR = Impairments()
