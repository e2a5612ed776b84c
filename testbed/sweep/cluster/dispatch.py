"""Assigns the runs of a sweep to workers, in the sweep's order, and handles workers that fail."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from testbed import interruption, topology
from testbed.errors import LabError, MachineError, TestbedError, UsageError
from testbed.lab import resolve
from testbed.sweep.cluster import arrival, files
from testbed.sweep.cluster.connection import Cluster, WorkerGoneError
from testbed.sweep.cluster.roster import Job, Roster
from testbed.sweep.making import TOO_MANY, runtime_of
from testbed.sweep.time_left import left_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.plan import Plan
    from testbed.runs import Run
    from testbed.sweep.cluster.connection import Report
    from testbed.sweep.cluster.roster import SweepWorker
    from testbed.sweep.cluster.trial import Outcome
    from testbed.sweep.matrix import Trial
    from testbed.sweep.observer import SweepObserver
    from testbed.sweep.outcome import SweepOutcome

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often to look which workers are there."""

_RETURN_S = 30.0
"""How long a sweep waits for a worker to come (back) after it has lost its last one."""

_MOST_TRIES = 2
"""Workers that may die of a run before it counts as failed."""


def make_on_workers(address: str, todo: Sequence[Trial], outcome: SweepOutcome, observer: SweepObserver) -> None:
    """Have the workers of a Dask scheduler make runs, and add them to the outcome.

    Args:
        address: of the scheduler.
        todo: the trials to make, in this order.
        outcome: of the sweep.
        observer: receives the progress.

    Raises:
        UsageError: `bad-address`; `not-sent`: the nodes use what only this machine has.
        MachineError: `no-scheduler`, `no-distributed`, `no-workers`, `versions-differ`; what every worker lacks.
        LabError: `scheduler-gone`, `workers-gone`; or the last failure, after three in a row on each worker.
    """
    _require_sendable(todo)
    with interruption.deferred():
        with interruption.delivered():
            cluster = Cluster(address)
        try:
            with interruption.delivered():
                Dispatch(cluster, todo, outcome, observer).run()
        finally:
            left = cluster.stop()
            cluster.close()
            arrival.remove(outcome.directory)
            for each in left:
                observer.noted(f"{each} did not take its lab down in time; testbed ps there shows it")


class Dispatch:
    """Gives runs to workers, one at a time to each, and handles their outcomes."""

    def __init__(self, cluster: Cluster, todo: Sequence[Trial], outcome: SweepOutcome, observer: SweepObserver) -> None:
        """Take the arguments of `make_on_workers`."""
        self._cluster = cluster
        self._waiting = deque(todo)
        self._runs, self._outcome, self._observer = outcome.runs, outcome, observer
        self._numbers = {trial.key: number for number, trial in enumerate(todo, outcome.total - len(todo) + 1)}
        self._losses: Counter[tuple[str, int]] = Counter()
        self._last_error: TestbedError | None = None
        self._last_look = time.monotonic()
        self._arriving = arrival.arriving(outcome.directory)
        plans = (self._plan(trial) for trial in {one.cell.number: one for one in todo}.values())
        self._roster = Roster(cluster, observer, files.pack(plans))

    def run(self) -> None:
        """Make all runs; see `make_on_workers`."""
        self._roster.begin()
        while self._waiting or self._busy:
            self._give_out()
            if report := self._cluster.report(_LOOK_S):
                self._take_in(report)
            if time.monotonic() - self._last_look >= _LOOK_S:
                self._look()

    @property
    def _busy(self) -> list[SweepWorker]:
        return [each for each in self._roster.workers.values() if each.job]

    def _look(self) -> None:
        """See which workers have gone, and which have come."""
        self._last_look = time.monotonic()
        for worker in self._roster.look():
            self._lose(worker)
        if self._roster.empty_s > _RETURN_S:
            raise self._none_left()

    def _none_left(self) -> TestbedError:
        error = self._last_error or LabError(
            "workers-gone",
            f"the scheduler at {self._cluster.address} has no workers any more",
            "the same command continues the sweep when there are some",
        )
        error.add_note("no worker is left that can make runs")
        return error

    def _give_out(self) -> None:
        """Give each idle worker the next trial."""
        for worker in [*self._roster.workers.values()]:
            if worker.job or not self._waiting:
                continue
            if runtime_of(self._waiting[0], self._outcome.matrix, self._runs) == "auto" and self._busy:
                return  # the first run chooses
            trial = self._waiting.popleft()
            identifier = f"{trial.cell.lab}-{trial.seed}-{secrets.token_hex(4)}"
            worker.job = Job(identifier=identifier, trial=trial, plan=self._plan(trial))
            rest = [*self._waiting, *(each.job.trial for each in self._busy if each.job)]
            left = left_s(rest, self._runs)
            left = left and left / len(self._roster.workers)
            self._observer.started(trial, self._numbers[trial.key], left, str(worker))
            self._cluster.begin(
                identifier, worker.address, worker.greeting.scratch, worker.files, worker.job.plan.to_json()
            )

    def _plan(self, trial: Trial) -> Plan:
        matrix = self._outcome.matrix
        return resolve(
            trial.cell.topology,
            lab=trial.cell.lab,
            runtime=runtime_of(trial, matrix, self._runs),
            engine=matrix.engine,
            seed=trial.seed,
        )

    def _take_in(self, report: Report) -> None:
        """Handle the outcome of a trial."""
        worker = next((each for each in self._busy if each.job and each.job.identifier == report.trial), None)
        if worker is None or worker.job is None:
            return
        job = worker.job
        if report.outcome is None:
            if worker.address not in self._cluster.addresses():
                self._lose(worker)
            else:
                worker.job = None
                self._fail(worker, job.trial, LabError("run-lost", report.error))
            return
        try:
            run = self._fetched(worker, job, report)
        except WorkerGoneError:
            self._lose(worker)
            return
        except LabError as error:
            worker.job = None
            self._fail(worker, job.trial, error)
            return
        worker.job = None
        if report.outcome.failure:
            self._fail(worker, job.trial, _error(report.outcome, job, report.directory, run))
        elif run is not None:
            worker.in_a_row = 0
            self._runs[job.trial.key] = run
            self._observer.finished(run)

    def _fetched(self, worker: SweepWorker, job: Job, report: Report) -> Run | None:
        """Fetch the run of a trial from its worker; None if there is none."""
        if report.outcome is None or not report.outcome.recorded:
            return None
        file = self._arriving / f"{job.identifier}.zip"
        self._cluster.fetch(worker.address, report.directory, file)
        try:
            return arrival.place(file, self._outcome.directory, job.plan)
        finally:
            file.unlink()

    def _fail(self, worker: SweepWorker, trial: Trial, error: TestbedError) -> None:
        """Note that a run has failed, or that a worker can't make runs."""
        self._last_error = error
        worker.in_a_row += 1
        if isinstance(error, MachineError):  # it lacks something that others may have
            self._waiting.appendleft(trial)
            self._observer.postponed(trial, f"worker {worker} can't make it: {error}")
        else:
            self._observer.failed(trial, error)
        if isinstance(error, MachineError) or worker.in_a_row == TOO_MANY:
            found = (
                "it lacks something" if isinstance(error, MachineError) else f"{TOO_MANY} runs in a row failed there"
            )
            self._roster.dismiss(worker, f"{found}: {error.message}")
            if not self._roster.workers and (self._waiting or isinstance(error, MachineError)):
                raise self._none_left()

    def _lose(self, worker: SweepWorker) -> None:
        """Give the trial of a worker that has gone to another one."""
        _log.info("worker %s has gone", worker)
        self._roster.lose(worker)
        if worker.job is None:
            self._observer.noted(f"{worker} has gone")
            return
        trial = worker.job.trial
        self._cluster.abandon(worker.job.identifier)
        self._losses[trial.key] += 1
        why = f"worker {worker} died while it made this run"
        if self._losses[trial.key] < _MOST_TRIES:
            self._waiting.appendleft(trial)
            self._observer.postponed(trial, why)
        else:
            again = f"{why}, as another one did before"
            self._observer.failed(trial, LabError("worker-died", again, "the same command tries the run again"))


def _require_sendable(todo: Iterable[Trial]) -> None:
    """Refuse topologies that name what runs already on this machine, or machines of their own.

    Raises:
        UsageError: `not-sent`.
    """
    for trial in todo:
        topology, why = trial.cell.topology, ""
        if topology.lacks_discovery:
            why = "names containers, namespaces or a compose project of this machine, which workers don't have"
        elif topology.hosts:
            why = "names its own hosts, on which the runs of several workers would disturb each other"
        if why:
            raise UsageError("not-sent", f"topology {topology.name} {why}", "leave --workers out")


def _error(outcome: Outcome, job: Job, directory: str, run: Run | None) -> TestbedError:
    """Return the error of a run, with the places that its files have here."""
    assert outcome.failure is not None  # noqa: S101  # for the type checker
    error = outcome.failure.error()
    if run is not None:
        there = f"{directory}/runs/{job.plan.lab}/{run.path.name}"
        error.__notes__ = [note.replace(there, str(run.path)) for note in outcome.failure.notes]
    if error.path:
        error.place = topology.place_of(job.trial.cell.topology, error.path)
    return error
