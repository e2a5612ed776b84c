"""The interface by which a sweep reports its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.lab import Observer

if TYPE_CHECKING:
    from testbed.errors import TestbedError
    from testbed.sweep.matrix import Trial


class SweepObserver(Observer):
    """Receives the progress of a sweep, and of each of its labs on this machine."""

    def planned(self, done: int, total: int) -> None:
        """The sweep begins; `done` of `total` runs exist already."""

    def started(self, trial: Trial, number: int, left_s: float | None, worker: str = "") -> None:
        """Run `number` begins; it and the following ones take about `left_s` seconds, None if that is unknown.

        `worker` names the machine that makes it; empty is this one. Workers make their runs at the same time.
        """

    def failed(self, trial: Trial, error: TestbedError) -> None:
        """A run has failed; the sweep continues."""

    def postponed(self, trial: Trial, why: str) -> None:
        """The worker that made a run could not; another one will make it."""

    def noted(self, what: str) -> None:
        """Something happened to the workers: one was lost, one came, or one is no longer used."""
