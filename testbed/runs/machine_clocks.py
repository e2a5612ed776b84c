"""The clocks of a lab's machines, as they were during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.client import ClockOffset


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineClock:
    """The monotonic clock of one of several machines. All samples are by the clock of the machine that the run is on.

    Attributes:
        machine: its name.
        offset_ns: how far its clock was ahead when the run began, by which all of its times have been moved.
        uncertainty_ns: how much more or less that may have been, from the fastest of several questions.
        drift_ns: how much further ahead it was when the run ended; None if that was not measured.
    """

    machine: str
    offset_ns: int
    uncertainty_ns: int
    drift_ns: int | None = None

    @property
    def error_ns(self) -> int:
        """How far times of the machine may be off at any moment of the run."""
        return self.uncertainty_ns + abs(self.drift_ns or 0)


def machine_clocks(
    before: Mapping[str, ClockOffset], after: Mapping[str, ClockOffset] | None = None
) -> tuple[MachineClock, ...]:
    """Return the clocks of machines, as they were found before a run and after it."""
    return tuple(
        MachineClock(
            machine=name,
            offset_ns=clock.offset_ns,
            uncertainty_ns=clock.uncertainty_ns,
            drift_ns=after[name].offset_ns - clock.offset_ns if after and name in after else None,
        )
        for name, clock in before.items()
    )


def remark(clocks: Sequence[MachineClock]) -> str:
    """Return a sentence about what one-way times between machines are worth; empty where there is one machine."""
    if len(clocks) < 2:  # noqa: PLR2004
        return ""
    largest = sum(sorted(each.error_ns for each in clocks)[-2:])
    names = ", ".join(f"{each.machine} within {units.DURATION.format(each.error_ns)}" for each in clocks)
    return f"of {names}: one-way times between machines are off by at most {units.DURATION.format(largest)}"
