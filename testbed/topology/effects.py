"""The keys of impairments other than loss: jitter, duplication, reordering and corruption."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from testbed.impairments import Corruption, DelaySteps, Jitter, RandomEvent, Reorder
from testbed.topology.base import Fault, Model, Short, key
from testbed.topology.referenced_files import Beside
from testbed.topology.traces import delay_steps, delays
from testbed.topology.values import Count, Duration, Probability, SomeDuration, schema_of


class TracedDelay(Model):
    """A delay that follows a trace."""

    trace: Annotated[DelaySteps, Beside(delay_steps, ("traces/handover-delay.csv",))] = key(
        "A file beside the topology: lines of TIME,DELAY"
    )


class JitterKeys(Model):
    """How delays vary."""

    spread_ns: Duration = key(
        "How far delays vary: half the width if uniform, else the standard deviation", alias="spread"
    )
    distribution: Literal["uniform", "normal", "pareto", "paretonormal"] | None = key(
        "How the delays are distributed; uniform unless given", default=None, example="normal"
    )
    table: Annotated[tuple[int, ...], Beside(delays, ("delays.txt",))] | None = key(
        "A file beside the topology, of measured delays; they give the distribution", default=None
    )
    correlation: Probability = key("How much each delay depends on the previous one", default=0, written="0%")
    order: Literal["keep", "free"] = key(
        "Whether packets keep their order, or arrive as their delays say", default="keep"
    )

    @property
    def jitter(self) -> Jitter | None:
        """The jitter of a link; None if delays do not vary."""
        if not self.spread_ns:
            return None
        return Jitter(
            ns=self.spread_ns,
            distribution=self.table or self.distribution or "uniform",
            correlation=self.correlation,
            keeps_order=self.order == "keep",
        )

    def faults(self) -> Iterator[Fault]:
        """Yield a fault if both a table and a distribution are given."""
        if self.table and self.distribution:
            yield Fault(("distribution",), "conflicting-keys", "is given beside table, which is one", "leave one out")


class Share(Model):
    """Something that happens to some packets."""

    rate: Probability = key("Share of packets that are affected")
    correlation: Probability = key("How much each draw depends on the previous one", default=0, written="0%")

    @property
    def event(self) -> RandomEvent | None:
        """The event; None if it never happens."""
        return RandomEvent(probability=self.rate, correlation=self.correlation) if self.rate else None


class Corrupted(Share):
    """Packets of which a bit is inverted."""

    checksum: Literal["keep", "fix"] = key(
        "Whether the checksum stays, so that the receiver notices, or is made to fit, so that the application sees it",
        default="keep",
    )

    @property
    def corruption(self) -> Corruption | None:
        """The corruption of a link; None if nothing is corrupted."""
        return Corruption(event=self.event, fix_checksum=self.checksum == "fix") if self.event else None


class Reordering(Share):
    """Packets that overtake others or are overtaken."""

    gap: Count | None = key("Only every n-th packet can leave its place; any unless given", default=None, example=5)
    late_ns: SomeDuration | None = key(
        "How much longer they are held; unless given, they are sent at once and overtake those in flight",
        alias="late",
        default=None,
    )

    @property
    def reorder(self) -> Reorder | None:
        """The reordering of a link; None if no packet is reordered."""
        return Reorder(event=self.event, gap=self.gap or 0, late_ns=self.late_ns or 0) if self.event else None


DelayValue = Annotated[
    Annotated[Duration, Tag("<delay>")] | Annotated[TracedDelay, Tag("<trace>")],
    Discriminator(lambda value: "<trace>" if isinstance(value, dict | TracedDelay) else "<delay>"),
]
_SHARE = Short("rate", schema_of(Probability))
JitterValue = Annotated[JitterKeys, Short("spread", schema_of(Duration))]
DuplicationValue = Annotated[Share, _SHARE]
CorruptedValue = Annotated[Corrupted, _SHARE]
ReorderingValue = Annotated[Reordering, _SHARE]
