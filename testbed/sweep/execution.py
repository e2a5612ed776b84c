"""A sweep carried out: each run in a lab of its own, and what is there already not again."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

from testbed import lab as labs
from testbed.errors import LabError
from testbed.lab import Lab, Observer
from testbed.runs.output_files import make_directory
from testbed.runtime import state
from testbed.sweep.outcome import SweepOutcome, kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.runs import Run
    from testbed.sweep.matrix import Matrix, Trial
    from testbed.sweep.measures import Measure

SWEEPS = "sweeps"
"""The directory of all sweeps, in that of all runs."""

_TOO_MANY = 3
"""Failures in a row that speak against the machine, not against a cell."""

_AROUND_S = 1.5
"""About what it takes to bring a lab up and down, which is not in the record of a run."""


class SweepObserver(Observer):
    """Hears of a sweep's progress, and of that of each lab."""

    def planned(self, done: int, total: int) -> None:
        """So many of all runs are there already."""

    def started(self, trial: Trial, number: int, left_s: float | None) -> None:
        """A run begins, the so many-th of all; with it, those to come take about so long, if that is known."""

    def finished(self, run: Run) -> None:
        """The run that began last has ended, and is kept."""

    def failed(self, error: LabError) -> None:
        """The run that began last has failed, and the sweep goes on."""


def carry_out(
    matrix: Matrix,
    root: Path,
    *,
    repeat: int,
    measures: tuple[Measure, ...],
    again: bool = False,
    observer: SweepObserver,
) -> SweepOutcome:
    """Make the runs that are missing, and write sweep.json, also when it comes to no end.

    A run that fails does not stop the others; it is missing then, and tried again the next time.

    Args:
        matrix: what to run.
        root: the directory of all runs; the sweep's own is `root/sweeps/NAME-DIGEST`.
        repeat: how often to run each cell.
        measures: the figures to show.
        again: also make those runs again that are not trusted.
        observer: hears of it.

    Raises:
        LabError: `lab-busy`: another command is at this sweep; or three runs in a row failed, with the last error.
        MachineError: this machine lacks something.
    """
    directory = root / SWEEPS / matrix.identifier
    with state.locked(matrix.identifier, "sweeping"):
        make_directory(directory)
        trials = list(matrix.trials(repeat))
        found = kept(matrix, directory)
        runs = {trial.key: found[trial.key] for trial in trials if trial.key in found}
        outcome = SweepOutcome(matrix=matrix, directory=directory, repeat=repeat, runs=runs, measures=measures)
        todo = [trial for trial in trials if trial.key not in runs or (again and not runs[trial.key].trusted)]
        observer.planned(len(trials) - len(todo), len(trials))
        outcome.write()
        try:
            _make(todo, runs, outcome, observer, total=len(trials))
        finally:
            outcome.write()
    return outcome


def _make(
    todo: Sequence[Trial],
    runs: dict[tuple[str, int], Run],
    outcome: SweepOutcome,
    observer: SweepObserver,
    *,
    total: int,
) -> None:
    """Make runs, one after the other, and note them in `runs`."""
    matrix = outcome.matrix
    in_a_row = 0
    for number, trial in enumerate(todo):
        observer.started(trial, total - len(todo) + number + 1, _left_s(todo[number:], runs))
        # A runtime that was left to us is the same for all runs.
        runtime = matrix.runtime or trial.cell.topology.runtime
        if runtime == "auto" and runs:
            runtime = next(iter(runs.values())).runtime
        try:
            run = _run(trial, outcome.directory, runtime, matrix.engine, observer)
        except LabError as error:
            in_a_row += 1
            observer.failed(error)
            if in_a_row == _TOO_MANY:
                error.add_note(f"{_TOO_MANY} runs in a row failed")
                raise
        else:
            in_a_row = 0
            runs[trial.key] = run
            observer.finished(run)


def _run(trial: Trial, directory: Path, runtime: str, engine: str | None, observer: Observer) -> Run:
    name = trial.cell.lab
    if labs.find(name):  # left by a sweep that was killed
        labs.take_down(name)
    with ExitStack() as stack:
        lab = Lab.up(trial.cell.topology, name=name, runtime=runtime, engine=engine, seed=trial.seed, observer=observer)
        stack.callback(lab.down, observer)
        return lab.run(directory, observer=observer)


def _left_s(todo: Sequence[Trial], runs: Mapping[tuple[str, int], Run]) -> float | None:
    """How long the runs to be made will take: as long as others of their cells, or as all on average."""
    lengths: dict[str, list[float]] = {}
    for (lab, _), run in runs.items():
        if run.ended is not None:
            span = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
            lengths.setdefault(lab, []).append(span.total_seconds() + _AROUND_S)
    if not lengths:
        return None
    mean = fmean(length for each in lengths.values() for length in each)
    return sum(fmean(lengths.get(trial.cell.lab, [mean])) for trial in todo)
