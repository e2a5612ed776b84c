"""The impairments of one direction of a link."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from testbed import units
from testbed.decisive import NOT_DECISIVE
from testbed.impairments.bottleneck import Bottleneck, Policer
from testbed.impairments.effects import Corruption, Jitter, Reorder
from testbed.impairments.losses import Blackhole, Drop, IndependentLoss, Loss
from testbed.impairments.probability import CERTAIN, RandomEvent
from testbed.impairments.traces import DelaySteps, LossSteps, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairments:
    """The impairments of one direction of a link.

    A packet crosses the stages in this order, in both engines:

    1. script: it is dropped if `drops` selects it;
    2. policer: it is dropped if it exceeds a rate;
    3. loss: it is dropped at random;
    4. corruption: one of its bits is inverted at random;
    5. duplication: it is duplicated at random;
    6. delay: it is delayed by `delay_ns` or as a trace says, varied by its jitter, and may be reordered;
    7. bottleneck: it waits in a queue for a transmitter of limited rate, or of a rate that follows a trace.

    Attributes:
        delay_ns: propagation delay, nanoseconds; on average, if it follows a trace.
        delay_trace: the delay if it changes with time.
        jitter: how a packet's delay differs from the link's, by at most the shortest delay.
        loss: random loss, or a blackhole.
        drops: loss by script.
        policer, corruption, duplicate, reorder, bottleneck: None if the link has no such impairment.
        hidden_bottleneck: the bottleneck that a rate of 0 removed; it has no effect, but the next one gets its queue.
    """

    OMIT_DEFAULTS: ClassVar = True

    delay_ns: int = 0
    delay_trace: DelaySteps | None = None
    jitter: Jitter | None = None
    loss: Loss | None = None
    drops: tuple[Drop, ...] = ()
    policer: Policer | None = None
    corruption: Corruption | None = None
    duplicate: RandomEvent | None = None
    reorder: Reorder | None = None
    bottleneck: Bottleneck | None = None
    hidden_bottleneck: Bottleneck | None = field(default=None, metadata=NOT_DECISIVE)

    def __post_init__(self) -> None:
        if self.delay_ns < 0:
            raise ValueError(f"a negative delay: {self.delay_ns} ns")
        if self.delay_trace and self.delay_ns != self.delay_trace.mean_ns:
            raise ValueError(
                f"the delay {self.delay_ns} ns is not the mean of its trace, {self.delay_trace.mean_ns} ns"
            )
        if self.jitter_ns > self.shortest_delay_ns:
            raise ValueError(f"jitter {self.jitter_ns} ns is more than the delay, {self.shortest_delay_ns} ns")
        if self.bottleneck and self.hidden_bottleneck:
            raise ValueError("a link has one bottleneck, or one that is hidden")

    @property
    def shortest_delay_ns(self) -> int:
        """The shortest delay without jitter, ns: `delay_ns`, or the least of its trace."""
        return min(self.delay_trace.delays_ns) if self.delay_trace else self.delay_ns

    @property
    def longest_delay_ns(self) -> int:
        """The longest delay without jitter, ns: `delay_ns`, or the greatest of its trace."""
        return max(self.delay_trace.delays_ns) if self.delay_trace else self.delay_ns

    @property
    def traces(self) -> tuple[Trace | DelaySteps | LossSteps, ...]:
        """What changes with time: delay, loss and rate, as far as they follow traces."""
        parts = (self.delay_trace, self.loss, self.bottleneck.rate if self.bottleneck else None)
        return tuple(part for part in parts if isinstance(part, DelaySteps | LossSteps | Trace))

    @property
    def jitter_ns(self) -> int:
        """The amount of the jitter, ns; 0 if there is none."""
        return self.jitter.ns if self.jitter else 0

    @property
    def keeps_order(self) -> bool:
        """Whether packets leave the delay in the order in which they reach it."""
        return not self.reorder and (not self.jitter or self.jitter.keeps_order)

    @property
    def is_random(self) -> bool:
        """Whether the fate of a packet depends on random numbers."""
        loses_all = self.loss == IndependentLoss(probability=CERTAIN) or isinstance(self.loss, Blackhole)
        has_random_loss = self.loss is not None and not loses_all
        return bool(self.jitter or has_random_loss or self.corruption or self.duplicate or self.reorder)

    @property
    def longest_ns(self) -> int:
        """The longest time that a packet may take, ns: delay, jitter, late reordering, and a full queue."""
        varied_ns = self.jitter.furthest_ns if self.jitter else 0
        late_ns = self.reorder.late_ns if self.reorder else 0
        return self.longest_delay_ns + varied_ns + late_ns + (self.bottleneck.longest_wait_ns if self.bottleneck else 0)

    @property
    def is_clear(self) -> bool:
        """Whether the link has no impairments in effect."""
        return replace(self, hidden_bottleneck=None) == CLEAR

    def describe(self) -> str:
        """Return the impairments in words: `delay 40 ms, loss 2 %`."""
        return ", ".join(self.descriptions()) or "clear"

    def descriptions(self) -> Iterator[str]:
        """Yield the impairments one by one, each beginning with its key in a topology file: `delay 40 ms`."""
        if self.delay_trace:
            yield f"delay {self.delay_trace}"
        elif self.delay_ns:
            yield f"delay {units.DURATION.format(self.delay_ns)}"
        for name, part in (
            ("jitter", self.jitter),
            ("loss", self.loss),
            *(("drop", drop) for drop in self.drops),
            ("policer", self.policer),
            ("corrupt", self.corruption),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
        ):
            if part is not None:
                yield f"{name} {part}"
        if self.bottleneck:
            yield from self.bottleneck.descriptions()


CLEAR = Impairments()
