"""The keys of a link's bottleneck: its rate and its queue."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from testbed import units
from testbed.impairments import CoDel, Discipline, DropHead, DropTail, FqCoDel, Opportunities, RateSteps
from testbed.topology import traces
from testbed.topology.base import Fault, Model, Short, key
from testbed.topology.referenced_files import Beside
from testbed.topology.values import Flag, QueueLimit, Rate, SomeDuration, schema_of

MANAGED = ("codel", "fq_codel")
"""The disciplines that drop before the queue is full."""


class Traced(Model):
    """A rate that follows a trace."""

    trace: Annotated[Opportunities | RateSteps, Beside(traces.trace, ("traces/mobile.trace", "traces/drive.csv"))] = (
        key("A file beside the topology: TIME,RATE lines in a .csv, else Mahimahi's format")
    )


class Queue(Model):
    """The queue before the bottleneck."""

    limit: QueueLimit | None = key(
        "Bytes (64KB), full frames (100 packets), time at the rate (100ms) or bandwidth-delay products of the round "
        "trip (1bdp, the default; at least 10 full frames)",
        default=None,
    )
    discipline: Literal["droptail", "drophead", "codel", "fq_codel"] = key(
        "Which packets it drops: when full, the arriving one (droptail) or the oldest (drophead); or those that wait "
        "too long, by CoDel, in one queue or one per flow",
        default="droptail",
    )
    target_ns: SomeDuration | None = key(
        "CoDel's target: the longest wait that it tolerates; 5ms unless given", alias="target", default=None
    )
    interval_ns: SomeDuration | None = key(
        "CoDel's interval: how long it tolerates longer waits; 100ms unless given", alias="interval", default=None
    )
    ecn: Flag | None = key("Whether CoDel marks packets that can be marked instead of dropping them", default=None)

    @property
    def chosen(self) -> Discipline:
        """The discipline with its settings."""
        match self.discipline:
            case "droptail":
                return DropTail()
            case "drophead":
                return DropHead()
        managed = FqCoDel if self.discipline == "fq_codel" else CoDel
        times = {"target_ns": self.target_ns, "interval_ns": self.interval_ns}
        return managed(ecn=bool(self.ecn), **{name: time_ns for name, time_ns in times.items() if time_ns})

    def faults(self) -> Iterator[Fault]:
        """Yield the contradictions: settings of CoDel need CoDel, and the target is less than the interval."""
        for name, value in (("target", self.target_ns), ("interval", self.interval_ns), ("ecn", self.ecn)):
            if value is not None and self.discipline not in MANAGED:
                message = f"is CoDel's, and the discipline is {self.discipline}"
                yield Fault((name,), "conflicting-keys", message, f"disciplines with it are: {', '.join(MANAGED)}")
        chosen = self.chosen
        if isinstance(chosen, CoDel) and chosen.target_ns >= chosen.interval_ns:
            message = (
                f"is {units.DURATION.format(chosen.target_ns)}, must be less than the interval, "
                f"{units.DURATION.format(chosen.interval_ns)}"
            )
            yield Fault(("target",), "target-exceeds-interval", message, "RFC 8289 takes 5 to 10 % of the interval")


RateValue = Annotated[
    Annotated[Rate, Tag("<rate>")] | Annotated[Traced, Tag("<trace>")],
    Discriminator(lambda value: "<trace>" if isinstance(value, dict | Traced) else "<rate>"),
]
QueueValue = Annotated[Queue, Short("limit", schema_of(QueueLimit))]
