"""The labs that are there: finding them, and taking them down. It imports no plans, which would take the longest."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import interruption, logs
from testbed import runtime as runtimes
from testbed.errors import MachineError
from testbed.runtime import state

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from testbed.lab.observer import Observer
    from testbed.runtime import LabStatus, Runtime

_log = logging.getLogger(__name__)


def find(lab: str) -> Runtime | None:
    """Return the runtime of the lab of that name, whatever its state; None if there is no such lab."""
    if ours := with_a_directory(lab):
        return ours[0]
    return next((runtime for runtime in map(runtimes.load, runtimes.BACKENDS) if holds(runtime, lab)), None)


def with_a_directory(lab: str) -> list[Runtime]:
    """Return the runtimes for which this user has a directory of a lab of that name, without asking a Docker Engine."""
    return [runtimes.load(name) for name in runtimes.BACKENDS if lab in state.labs(name)]


def holds(runtime: Runtime, lab: str) -> bool:
    """Whether a runtime has a lab of that name, of any user."""
    with suppress(MachineError):
        return runtime.holds(lab)
    return False


def all_labs() -> list[LabStatus]:
    """Return every lab of all runtimes that work here, with its state."""
    statuses: list[LabStatus] = []
    for name in runtimes.BACKENDS:
        with suppress(MachineError):
            statuses += runtimes.load(name).labs()
    return [replace(status, changing=state.changing(status.lab)) for status in statuses]


def take_down(lab: str) -> bool:
    """Remove a lab from every runtime, whatever its state; return False if there was none."""
    with state.locked(lab, state="going down"), logs.timed(_log, f"take lab {lab} down"):
        if ours := with_a_directory(lab):
            removals = [runtime.down(lab) for runtime in ours]
            return any(removals)
        removed = False
        for runtime in map(runtimes.load, runtimes.BACKENDS):
            with suppress(MachineError):  # a runtime that can't be asked here
                removed |= runtime.down(lab)
        return removed


def uninterrupted(observer: Observer) -> AbstractContextManager[None]:
    """Defer signals that end the process until the block is done, then deliver the first one.

    Args:
        observer: receives a message when a signal arrives.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; for other signals, what their handlers raise.
    """
    return interruption.deferred(lambda: observer.begun("down", "interrupted, cleaning up"))
