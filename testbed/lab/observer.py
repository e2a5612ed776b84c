"""What is told of long work while it goes on."""

from __future__ import annotations


class Observer:
    """Hears of a lab's progress; this one says nothing. The command line shows it, tests ignore it."""

    def chosen(self, what: str, value: str, why: str) -> None:
        """A choice was made that the file leaves open: `runtime`, `engine`."""

    def begun(self, stage: str, detail: str = "") -> None:
        """A stage of the work begins, or gets to its next step: `up`, `check`, `run`, `down`."""

    def ended(self, stage: str, detail: str) -> None:
        """A stage has ended well."""

    def progressed(self, stage: str, what: str, fraction: float, count: str = "") -> None:
        """So much, from 0 to 1, of a part of the stage is done; `count` may say it in numbers: `200 of 992`."""

    def happened(self, at: str, what: str) -> None:
        """An event of the run's timeline has happened, which was asked for at that time."""


SILENT = Observer()
