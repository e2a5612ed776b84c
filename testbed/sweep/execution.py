"""Execution of sweeps: each run in a lab of its own, without the runs that exist already."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from testbed import logs
from testbed.errors import LabError
from testbed.runs.output_files import make_directory
from testbed.runtime import state
from testbed.sweep.making import TOO_MANY, make_run, runtime_of
from testbed.sweep.outcome import SweepOutcome, kept
from testbed.sweep.time_left import left_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.analysis.measures import Measure
    from testbed.sweep.matrix import Matrix, Trial
    from testbed.sweep.observer import SweepObserver

_log = logging.getLogger(__name__)

SWEEPS = "sweeps"
"""The directory of all sweeps, in that of all runs."""


def carry_out(
    matrix: Matrix,
    root: Path,
    *,
    repeat: int,
    measures: tuple[Measure, ...],
    again: bool = False,
    workers: str | None = None,
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
        workers: the address of a Dask scheduler, whose workers make the runs; None is this machine.
        observer: receives the progress.

    Raises:
        LabError: `lab-busy`: another command runs this sweep; or the last of three consecutive failures.
        MachineError: this machine, or each of the workers, lacks something; no scheduler answers.
        UsageError: the sweep can't be made on workers.
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
            if workers is None:
                _make(todo, outcome, observer)
            elif todo:
                from testbed.sweep.cluster.dispatch import make_on_workers  # noqa: PLC0415  # it needs an extra

                make_on_workers(workers, todo, outcome, observer)
        finally:
            outcome.write()
    return outcome


def _make(todo: Sequence[Trial], outcome: SweepOutcome, observer: SweepObserver) -> None:
    """Make runs, one after the other, and add them to the outcome."""
    matrix, runs = outcome.matrix, outcome.runs
    in_a_row = 0
    for number, trial in enumerate(todo):
        observer.started(trial, outcome.total - len(todo) + number + 1, left_s(todo[number:], runs))
        try:
            with logs.timed(_log, f"{trial.cell.lab}, repetition {trial.repetition}"):
                run = make_run(
                    trial.cell.topology,
                    outcome.directory,
                    observer,
                    lab=trial.cell.lab,
                    runtime=runtime_of(trial, matrix, runs),
                    engine=matrix.engine,
                    seed=trial.seed,
                )
        except LabError as error:
            in_a_row += 1
            observer.failed(trial, error)
            if in_a_row == TOO_MANY:
                error.add_note(f"{TOO_MANY} runs in a row failed")
                raise
        else:
            in_a_row = 0
            runs[trial.key] = run
            observer.finished(run)
