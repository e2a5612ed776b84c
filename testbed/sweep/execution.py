"""Execution of sweeps: each run in a lab of its own, without the runs that exist already."""

from __future__ import annotations

import logging
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

from testbed import interruption, logs
from testbed import lab as labs
from testbed.errors import LabError
from testbed.lab import Lab, Observer
from testbed.runs.output_files import make_directory
from testbed.runtime import state
from testbed.sweep.outcome import SweepOutcome, kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.analysis.measures import Measure
    from testbed.runs import Run
    from testbed.sweep.matrix import Matrix, Trial

_log = logging.getLogger(__name__)

SWEEPS = "sweeps"
"""The directory of all sweeps, in that of all runs."""

_TOO_MANY = 3
"""Consecutive failures after which the machine is at fault, not a cell."""

_AROUND_S = 1.5
"""Typical time to bring a lab up and down, which the record of a run does not include."""


class SweepObserver(Observer):
    """Receives the progress of a sweep, and of each of its labs."""

    def planned(self, done: int, total: int) -> None:
        """The sweep begins; `done` of `total` runs exist already."""

    def started(self, trial: Trial, number: int, left_s: float | None) -> None:
        """Run `number` begins; it and the following ones take about `left_s` seconds, None if that is unknown."""

    def failed(self, error: LabError) -> None:
        """The current run has failed; the sweep continues."""


def carry_out(
    matrix: Matrix,
    root: Path,
    *,
    repeat: int,
    measures: tuple[Measure, ...],
    again: bool = False,
    observer: SweepObserver,
) -> SweepOutcome:
    """Make the runs that are missing, and write sweep.json, even if the sweep is interrupted.

    A run that fails does not stop the others; the next call tries it again.

    Args:
        matrix: the cells to run.
        root: the directory of all runs; the sweep's own is `root/sweeps/NAME-DIGEST`.
        repeat: number of runs of each cell.
        measures: the metrics to show.
        again: whether to repeat runs that are not trusted.
        observer: receives the progress.

    Raises:
        LabError: `lab-busy`: another command runs this sweep; or the last of three consecutive failures.
        MachineError: this machine lacks something.
    """
    directory = root / SWEEPS / matrix.identifier
    with state.locked(matrix.identifier, "sweeping"):
        make_directory(directory)
        trials = list(matrix.trials(repeat))
        existing = kept(matrix, directory)
        runs = {trial.key: existing[trial.key] for trial in trials if trial.key in existing}
        outcome = SweepOutcome(matrix=matrix, directory=directory, repeat=repeat, runs=runs, measures=measures)
        todo = [trial for trial in trials if trial.key not in runs or (again and not runs[trial.key].trusted)]
        observer.planned(len(trials) - len(todo), len(trials))
        _log.info("sweep in %s: %d of %d runs are missing", directory, len(todo), len(trials))
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
    """Make runs, one after the other, and add them to `runs`."""
    matrix = outcome.matrix
    in_a_row = 0
    for number, trial in enumerate(todo):
        observer.started(trial, total - len(todo) + number + 1, _left_s(todo[number:], runs))
        # `auto` chooses a runtime for the first run, and all others use the same.
        runtime = matrix.runtime or trial.cell.topology.runtime
        if runtime == "auto" and runs:
            runtime = next(iter(runs.values())).runtime
        try:
            with logs.timed(_log, f"{trial.cell.lab}, repetition {trial.repetition}"):
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
        _log.info("lab %s is up, from a sweep that was killed", name)
        labs.take_down(name)
    with interruption.deferred():
        lab = Lab.up(trial.cell.topology, name=name, runtime=runtime, engine=engine, seed=trial.seed, observer=observer)
        try:
            with interruption.delivered():
                return lab.run(directory, observer=observer)
        finally:
            lab.down(observer)


def _left_s(todo: Sequence[Trial], runs: Mapping[tuple[str, int], Run]) -> float | None:
    """Estimate how long the remaining runs will take, s, from runs of the same cells, or else from all runs."""
    lengths: dict[str, list[float]] = {}
    for (lab, _), run in runs.items():
        if run.ended is not None:
            span = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
            lengths.setdefault(lab, []).append(span.total_seconds() + _AROUND_S)
    if not lengths:
        return None
    mean = fmean(length for of_cell in lengths.values() for length in of_cell)
    return sum(fmean(lengths.get(trial.cell.lab, [mean])) for trial in todo)
