"""Progress of a command on standard output: a line for each finished stage, progress bars on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from testbed.cli.console import make_console
from testbed.lab import Observer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import TaskID

    from testbed.plan.model import Plan

_BAR = 20

_LINE_SECONDS = 3
"""Time between two lines about the progress of a stage, where there is no terminal for a bar."""


class Screen(Observer):
    """Shows a lab's progress on standard output; `quiet` shows nothing, for `--json`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = make_console(quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.fields[stage]:<7}"),
            TextColumn("{task.description}"),
            BarColumn(_BAR),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._chosen: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def title(self, plan: Plan) -> None:
        """Print the name and description of a topology."""
        self.console.print(f"[bold]{plan.topology}[/]   {escape(plan.description)}".rstrip(), soft_wrap=True)

    def say(self, label: str, text: str) -> None:
        """Print a line that stays."""
        self.console.print(f"[bold]{label:<7}[/] {escape(text)}", soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """Print anything that rich can render, after removing the progress bars."""
        self._bars.stop()
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
            self._bars.remove_task(self._tasks.pop(key))
        seconds = time.monotonic() - self._begun.pop(stage, time.monotonic())
        self._said.pop(stage, None)
        self.say(stage, f"{detail:<64} {seconds:5.1f} s")

    def progressed(self, stage: str, what: str, fraction: float, count: str = "") -> None:
        """See `Observer`."""
        if count:
            self._say_from_time_to_time(stage, f"{what}: {count}")
        if (task := self._tasks.pop((stage, ""), None)) is not None:
            self._bars.remove_task(task)  # the stage's bar without a fraction
        self._bar(stage, what, f"{what}: {count}" if count else what, fraction)

    def _say_from_time_to_time(self, stage: str, text: str) -> None:
        """Print a line about the progress of a stage that takes long, where there is no terminal for a bar."""
        now = time.monotonic()
        if not self.console.is_terminal and now - self._said.setdefault(stage, now) >= _LINE_SECONDS:
            self._said[stage] = now
            self.say(stage, text)

    def happened(self, at: str, what: str) -> None:
        """See `Observer`."""
        self.say("event", f"{at:<7} {what}")

    def _bar(self, stage: str, what: str, text: str, fraction: float | None) -> None:
        key = (stage, what)
        if key not in self._tasks:
            total = None if fraction is None else 1.0
            self._tasks[key] = self._bars.add_task(text, total=total, stage=stage)
        self._bars.update(self._tasks[key], description=text, completed=fraction)
