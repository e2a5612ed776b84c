"""The interface by which long operations report their progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.runs import Run


class Observer:
    """Receives a lab's progress. This base class ignores it; the command line shows it."""

    def chosen(self, what: str, value: str, why: str) -> None:
        """Something that the file leaves open was chosen: `runtime`, `engine`; or a note is due."""

    def begun(self, stage: str, detail: str = "") -> None:
        """A stage (`up`, `check`, `run`, `down`) has begun, or has reached its next step."""

    def ended(self, stage: str, detail: str) -> None:
        """A stage has ended without an error."""

    def progressed(self, stage: str, what: str, fraction: float, count: str = "") -> None:
        """A part of the stage is done to a `fraction` from 0 to 1; `count` may give numbers: `200 of 992`."""

    def happened(self, at: str, what: str) -> None:
        """An event of the run's timeline has happened; `at` is the time that the file gives."""

    def finished(self, run: Run) -> None:
        """A run of several is complete."""


SILENT = Observer()
