"""Records of the events of a run's timeline, with the times at which they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Iterable

LATE_NS = 100_000_000
"""Lateness that is accepted of an event. Charts over time are no finer: goodput is drawn per 100 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSeen:
    """What programs of a node saw of its clock after an event had changed it.

    Attributes:
        node: the node.
        offset_ns, drift_ppb: what was requested, see `testbed.faults.SetClock`.
        at_least_ns, at_most_ns: it was ahead of the machine's by so much; negative is behind.
    """

    node: str
    offset_ns: int
    drift_ppb: int
    at_least_ns: int
    at_most_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRecord:
    """An event of the plan's timeline that has happened. All times but `at_ns` are of the clock of the samples, ns.

    Attributes:
        at_ns: the time in the plan, from the start of the first workload.
        what: as in the plan.
        due_ns: the same time by the clock of the samples.
        begun_ns, done_ns: it happened between these times; links change one after the other.
        minor: as in the plan.
        lasting: it took as long as programs liked, so that only its beginning could be on time.
        clocks: of nodes, as programs saw them afterwards.
    """

    at_ns: int
    what: str
    due_ns: int
    begun_ns: int
    done_ns: int
    minor: bool = False
    lasting: bool = False
    clocks: tuple[ClockSeen, ...] = ()

    @property
    def late_ns(self) -> int:
        """How late it was done, or, of one that takes its time, begun, ns."""
        return (self.begun_ns if self.lasting else self.done_ns) - self.due_ns


def late_events(timeline: Iterable[TimelineRecord]) -> tuple[str, ...]:
    """Return a sentence for each event so late that the run is not trusted."""
    return tuple(
        f"{record.what}, due at {units.DURATION.format(record.at_ns)}, happened "
        f"{record.late_ns / 1e6:.0f} ms late: this machine was too busy"
        for record in timeline
        if record.late_ns > LATE_NS
    )
