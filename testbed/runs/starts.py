"""The times at which workloads began. The workloads of a step, one or several together, have one start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

LATE_NS = 50_000_000
"""A workload that begins so long after the start of its step is worth a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """The start of one step of a run. All times are of the clock of the samples, ns.

    Attributes:
        start_ns: when all workloads of the step were to begin. That of the first step is the timeline's time zero.
        began_ns: when each of them began, by its name; one is missing where the run failed before.
    """

    DERIVED: ClassVar = ("spread_ns",)

    start_ns: int
    began_ns: Mapping[str, int]

    @property
    def spread_ns(self) -> int:
        """The time between the first and the last workload's beginning, ns."""
        times = self.began_ns.values()
        return max(times, default=0) - min(times, default=0)

    @property
    def remark(self) -> str | None:
        """A sentence about a workload of the step that began late; None if all began in time."""
        if not self.began_ns:
            return None
        last, last_ns = max(self.began_ns.items(), key=lambda each: each[1])
        late_ns = last_ns - self.start_ns
        if late_ns <= LATE_NS:
            return None
        if len(self.began_ns) == 1:
            return f"{last} began {late_ns / 1e6:.0f} ms late"
        return (
            f"{len(self.began_ns)} workloads began {self.spread_ns / 1e6:.0f} ms apart; "
            f"the last, {last}, {late_ns / 1e6:.0f} ms late"
        )
