"""Progress of a command on standard output: a line for each finished stage, progress bars on a terminal.

rich is imported only for a terminal and for tables: to import it takes a tenth of the time of `testbed up`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Self

import click

from testbed.lab import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

    from testbed.plan.model import Plan

_BAR = 20

_SILENCE_SECONDS = 1.5
"""Time without a word after which people wonder."""

_LINE_SECONDS = 3
"""Time between two lines about the progress of a stage, where there is no terminal for a bar."""


class Screen(Observer):
    """Shows a lab's progress on standard output; `quiet` shows nothing, for `--json`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._chosen: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    @cached_property
    def console(self) -> Console:
        """What tables are printed on."""
        from testbed.cli.console import make_console  # noqa: PLC0415  # see above

        return make_console(quiet=self._quiet)

    @cached_property
    def _bars(self) -> Progress | None:
        """The progress bars; None without a terminal."""
        if self._quiet or not _may_be_terminal() or not self.console.is_terminal:
            return None
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  # see above

        return Progress(
            TextColumn("{task.fields[stage]:<7}"),
            TextColumn("{task.description}"),
            BarColumn(_BAR),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )

    def title(self, plan: Plan) -> None:
        """Print the name and description of a topology."""
        self._line(plan.topology, f"   {plan.description}".rstrip())

    def say(self, label: str, text: str) -> None:
        """Print a line that stays."""
        self._line(f"{label:<7}", f" {text}")

    def _line(self, bold: str, text: str) -> None:
        """Print a line that begins with bold text."""
        if self._bars:
            from rich.text import Text  # noqa: PLC0415  # see above

            self.console.print(Text.assemble((bold, "bold"), text), soft_wrap=True)
        elif not self._quiet:
            click.echo(bold + text)

    @contextmanager
    def while_slow(self, label: str, text: str) -> Iterator[None]:
        """Print a line if what is done within takes so long that silence would look like a standstill."""
        timer = threading.Timer(_SILENCE_SECONDS, self.say, (label, text))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def show(self, renderable: RenderableType) -> None:
        """Print anything that rich can render, after removing the progress bars."""
        if self._bars:
            self._bars.stop()
        if not self._quiet:
            self.console.print(renderable)

    def chosen(self, what: str, value: str, why: str) -> None:
        """See `Observer`."""
        if (what, value) not in self._chosen:
            self._chosen.add((what, value))
            self.say(what, value if why in ("asked for", "") or why in value else f"{value}: {why}")

    def begun(self, stage: str, detail: str = "") -> None:
        """See `Observer`."""
        self._begun.setdefault(stage, time.monotonic())
        if " " in detail:  # steps in one word are too short to be told
            self._say_from_time_to_time(stage, detail)
        self._bar(stage, "", detail, None)

    def ended(self, stage: str, detail: str) -> None:
        """See `Observer`."""
        for key in [key for key in self._tasks if key[0] == stage]:
            self._remove_bar(key)
        seconds = time.monotonic() - self._begun.pop(stage, time.monotonic())
        self._said.pop(stage, None)
        self.say(stage, f"{detail:<64} {seconds:5.1f} s")

    def progressed(self, stage: str, what: str, fraction: float, count: str = "") -> None:
        """See `Observer`."""
        if count:
            self._say_from_time_to_time(stage, f"{what}: {count}")
        self._remove_bar((stage, ""))  # the stage's bar without a fraction
        self._bar(stage, what, f"{what}: {count}" if count else what, fraction)

    def _say_from_time_to_time(self, stage: str, text: str) -> None:
        """Print a line about the progress of a stage that takes long, where there is no terminal for a bar."""
        now = time.monotonic()
        if not self._bars and now - self._said.setdefault(stage, now) >= _LINE_SECONDS:
            self._said[stage] = now
            self.say(stage, text)

    def happened(self, at: str, what: str) -> None:
        """See `Observer`."""
        self.say("event", f"{at:<7} {what}")

    def _bar(self, stage: str, what: str, text: str, fraction: float | None) -> None:
        if not self._bars:
            return
        key = (stage, what)
        if key not in self._tasks:
            total = None if fraction is None else 1.0
            self._tasks[key] = self._bars.add_task(text, total=total, stage=stage)
        self._bars.update(self._tasks[key], description=text, completed=fraction)

    def _remove_bar(self, key: tuple[str, str]) -> None:
        if self._bars and (task := self._tasks.pop(key, None)) is not None:
            self._bars.remove_task(task)


def _may_be_terminal() -> bool:
    """Whether standard output may be a terminal: it is one, or the user says so; rich then decides."""
    return sys.stdout.isatty() or bool({"FORCE_COLOR", "TTY_COMPATIBLE"} & {*os.environ})
