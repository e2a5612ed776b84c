"""The command that runs a topology with many values: sweep."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from testbed import codec, sweep, topology
from testbed.cli import failures, json_output, options
from testbed.cli.columns import Columns
from testbed.cli.screen import Screen
from testbed.errors import LabError
from testbed.report.sweep_page import write_sweep
from testbed.runs.output_files import require_writable
from testbed.sweep import SweepObserver, rows

if TYPE_CHECKING:
    from rich.progress import Task

    from testbed.cli.options import BringUp
    from testbed.errors import TestbedError
    from testbed.runs import Run
    from testbed.sweep import Matrix, Measure, SweepOutcome, Trial

FAILED = 1
_BAR = 20
_MINUTE = 60


@click.command("sweep")
@click.argument("source", metavar="TOPOLOGY")
@click.option(
    "--set",
    "varied",
    metavar="PATH=VALUE,...",
    multiple=True,
    help="Key to vary and its values; may be given several times.",
)
@click.option(
    "--repeat", metavar="N", type=click.IntRange(1, 1000), help="Number of runs of each combination.  [default: 5]"
)
@click.option(
    "--metric", "metrics", metavar="WORKLOAD.METRIC", multiple=True, help="Metric to show; may be given several times."
)
@click.option("--again", is_flag=True, help="Repeat runs that are not trusted.")
@click.option(
    "--workers",
    metavar="tcp://HOST:PORT",
    help="Address of a Dask scheduler, whose workers make the runs, one at a time each.",
)
@options.bring_up
@click.option(
    "--results", type=click.Path(path_type=Path), default="results", show_default=True, help="Directory for the runs."
)
@json_output.as_json
def sweep_command(
    source: str,
    *,
    varied: tuple[str, ...],
    repeat: int | None,
    metrics: tuple[str, ...],
    how: BringUp,
    results: Path,
    again: bool,
    workers: str | None,
    as_json: bool,
) -> int:
    """Run a topology with every combination of some values, several times each, and show the means.

    \b
    testbed sweep lossy --set 'links[0].loss=0%,1%,2%,5%' --set 'workloads.download.congestion=cubic,bbr'

    The keys under the file's own `sweep` are varied too, unless a --set has the same path. The same command continues
    a sweep that was interrupted, and a larger --repeat adds runs to a finished one. The exit status is 1 if in any run
    a link is not as requested or an expectation is not met, and 4 if runs failed. With --workers, other machines make
    the runs; that needs an extra: pip install 'testbed-lab[cluster]'.
    """  # noqa: D301  # \b is click's
    require_writable(results)
    path = topology.find(source)
    matrix = sweep.matrix(path, [topology.parse_factor(text) for text in varied], **asdict(how))
    measures = sweep.measures(matrix.plan, metrics)
    file = matrix.cells[0].topology.sweep
    with SweepScreen(matrix, measures, quiet=as_json) as screen:
        outcome = sweep.carry_out(
            matrix,
            results,
            repeat=repeat or (file.repeat if file else 5),
            measures=measures,
            again=again,
            workers=workers,
            observer=screen,
        )
    page = write_sweep(outcome)
    if as_json:
        json_output.show(codec.encode(outcome.record) | {"path": str(outcome.directory)})
    screen.summary(outcome, page)
    if outcome.missing:
        count = "1 run" if len(outcome.missing) == 1 else f"{len(outcome.missing)} runs"
        hint = "the same command repeats only the runs that failed"
        raise LabError("runs-failed", f"{count} failed: {rows.missing(outcome)}", hint)
    return 0 if outcome.as_expected else FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    """A run that is being made: its place among all, what tells it from others, and the worker; empty is here."""

    place: str
    label: str
    worker: str


class SweepScreen(SweepObserver):
    """Shows a sweep's progress: a bar on a terminal, else a line per run; nothing if `quiet`."""

    def __init__(self, matrix: Matrix, measures: tuple[Measure, ...], *, quiet: bool) -> None:
        self._matrix = matrix
        self._measures = measures
        self._screen = Screen(quiet=quiet)
        self._console = self._screen.console
        self._bar = Progress(
            TextColumn("[bold]sweep  [/]"),
            BarColumn(_BAR),
            TextColumn("{task.completed} of {task.total}"),
            _TimeLeft(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, until=None, visible=False)
        self._done = self._total = 0
        self._under_way: dict[tuple[str, int], _UnderWay] = {}
        self._until: float | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._bar.stop()
        if kind is not None and self._total:
            self._screen.say(
                "sweep", f"stopped: {self._done} of {self._total} runs exist; the same command continues the sweep"
            )

    def planned(self, done: int, total: int) -> None:
        """See `SweepObserver`."""
        self._done, self._total = done, total
        plan = self._matrix.plan
        self._screen.title(plan)
        cells = len(self._matrix.cells)
        varied = [f"{len(levels)} of {path}" for path, levels in self._matrix.factors.items() if len(levels) > 1]
        product = f" ({' x '.join(varied)})" if len(varied) > 1 else ""
        self._screen.say("sweep", f"{cells} cells{product}, {total // cells} times each: {total} runs")
        if done == total:
            self._screen.say("sweep", "all runs exist already; a larger --repeat adds more")
        elif done:
            self._screen.say("sweep", f"continues: {done} of the runs exist already")
        self._bar.update(self._task, total=total, completed=done, visible=True)

    def started(self, trial: Trial, number: int, left_s: float | None, worker: str = "") -> None:
        """See `SweepObserver`."""
        place = f"{number} of {self._total}"
        self._until = None if left_s is None else time.monotonic() + left_s
        self._under_way[trial.key] = _UnderWay(place=place, label=self._label(trial), worker=worker)
        if worker and not self._console.is_terminal:
            self._screen.say("start", f"{place}  {self._label(trial)}  on {worker}")
        self._show()

    def _label(self, trial: Trial) -> str:
        levels = rows.levels_text(self._matrix, trial.cell.levels)
        return f"repetition {trial.repetition}{f', {levels}' if levels else ''}"

    def _show(self, step: str = "") -> None:
        """Show what is under way: on this machine with its step, on workers with their names."""
        texts = [f"{each.label} on {each.worker}" if each.worker else each.label for each in self._under_way.values()]
        text = "; ".join(texts)
        self._bar.update(self._task, description=escape(f"{text}, {step}" if step else text), until=self._until)

    def chosen(self, what: str, value: str, why: str) -> None:
        """See `Observer`."""
        self._screen.chosen(what, value, why)

    def begun(self, stage: str, detail: str = "") -> None:
        """See `Observer`."""
        self._show(stage if stage != "down" else detail or stage)

    def progressed(self, stage: str, what: str, fraction: float, count: str = "") -> None:
        """See `Observer`."""
        self._show(f"{stage} {count or f'{100 * fraction:.0f} %'}" if what else stage)

    def finished(self, run: Run) -> None:
        """See `SweepObserver`."""
        self._done += 1
        ended = self._under_way.pop((run.plan.lab, run.plan.seed))
        self._bar.update(self._task, advance=1)
        self._show()
        on = f" on {ended.worker}" if ended.worker else ""
        if not self._console.is_terminal:
            values = ((measure, measure.of(run)) for measure in self._measures)
            found = [f"{measure.label} {measure.text(value)}" for measure, value in values]
            self._screen.say("run", f"{ended.place}  {ended.label}{on}  {', '.join(found)}{self._left()}")
        if not run.trusted:
            self._screen.say("trust", f"{ended.label}{on}: not trusted: {'; '.join(run.why_not_trusted)}")

    def failed(self, trial: Trial, error: TestbedError) -> None:
        """See `SweepObserver`."""
        ended = self._under_way.pop(trial.key)
        on = f" on {ended.worker}" if ended.worker else ""
        click.echo(f"failed  {ended.label}{on}: {error}", err=True)
        failures.show_notes(error)
        self._show()

    def postponed(self, trial: Trial, why: str) -> None:
        """See `SweepObserver`."""
        del self._under_way[trial.key]
        click.echo(f"again   {self._label(trial)}: {why}", err=True)
        self._show()

    def noted(self, what: str) -> None:
        """See `SweepObserver`."""
        self._screen.say("workers", what)

    def _left(self) -> str:
        return f"  {_left(self._until)}" if self._until is not None and self._done < self._total else ""

    def summary(self, outcome: SweepOutcome, page: Path) -> None:
        """Print the table, the slopes and the warnings."""
        lines = [
            [Text(cell, style="red" if "not trusted" in cell else "") for cell in line] for line in rows.lines(outcome)
        ]
        self._screen.show("")
        self._screen.show(Columns(rows.head(outcome), lines, keys=len(self._matrix.factors)))
        self._screen.show("the mean over the runs of each, and from three runs on its 95 % interval")
        self._screen.show("")
        for slope in outcome.slopes:
            self._screen.say("slope", rows.slope_text(outcome, slope))
        for warning in rows.warnings(outcome):
            self._screen.say("warning", warning)
        for failure in rows.failures(outcome):
            self._screen.say("failed", failure)
        self._screen.say("result", str(outcome.directory))
        self._screen.say("report", str(page))


class _TimeLeft(ProgressColumn):
    """The column with the remaining time, if it is known."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        until = task.fields["until"]
        return Text("" if until is None else _left(until))


def _left(until: float) -> str:
    """Return a remaining time as text."""
    seconds = max(0, until - time.monotonic())
    return f"{seconds:.0f} s left" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min left"
