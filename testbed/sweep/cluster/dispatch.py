"""Which worker makes which run of a sweep, in the sweep's order, and what becomes of workers that fail."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import __version__, interruption, topology
from testbed.errors import LabError, MachineError, TestbedError, UsageError
from testbed.lab import resolve
from testbed.sweep.cluster import arrival, files
from testbed.sweep.cluster.connection import Cluster, WorkerGoneError
from testbed.sweep.cluster.worker import RESOURCE, Greeting
from testbed.sweep.making import TOO_MANY, runtime_of
from testbed.sweep.time_left import left_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.plan import Plan
    from testbed.runs import Run
    from testbed.sweep.cluster.connection import Report
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


def make_on_workers(
    address: str,
    todo: Sequence[Trial],
    runs: dict[tuple[str, int], Run],
    outcome: SweepOutcome,
    observer: SweepObserver,
    *,
    total: int,
) -> None:
    """Have the workers of a Dask scheduler make runs, and add them to `runs`.

    Args:
        address: of the scheduler.
        todo: the trials to make, in this order.
        runs: those that there are, by `Trial.key`.
        outcome: of the sweep.
        observer: receives the progress.
        total: number of runs of the whole sweep.

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
                Dispatch(cluster, todo, runs, outcome, observer, total=total).run()
        finally:
            left = cluster.stop()
            cluster.close()
            arrival.remove(outcome.directory)
            for each in left:
                observer.noted(f"{each} did not take its lab down in time; testbed ps there shows it")


@dataclass(slots=True, kw_only=True)
class Worker:
    """A worker that makes runs.

    Attributes:
        files: where it has the archive of files.
        job: what it makes now.
        in_a_row: how many runs in a row have failed on it.
    """

    address: str
    greeting: Greeting
    files: str
    job: Job | None = None
    in_a_row: int = 0

    def __str__(self) -> str:
        name = self.greeting.name
        return name if name == self.address else f"{name} ({self.address})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial that a worker makes; `identifier` is another one each time that the trial is made."""

    identifier: str
    trial: Trial
    plan: Plan


class Dispatch:
    """Gives runs to workers, one at a time to each, and takes in what comes of them."""

    def __init__(
        self,
        cluster: Cluster,
        todo: Sequence[Trial],
        runs: dict[tuple[str, int], Run],
        outcome: SweepOutcome,
        observer: SweepObserver,
        *,
        total: int,
    ) -> None:
        """Take the arguments of `make_on_workers`."""
        self._cluster = cluster
        self._waiting = deque(todo)
        self._runs, self._outcome, self._observer = runs, outcome, observer
        self._numbers = {trial.key: number for number, trial in enumerate(todo, total - len(todo) + 1)}
        self._losses: Counter[tuple[str, int]] = Counter()
        self._workers: dict[str, Worker] = {}
        self._unused: dict[str, str] = {}
        """Addresses of workers that are not used, with their machines."""
        self._last_error: TestbedError | None = None
        self._last_look = self._last_seen = time.monotonic()
        self._arriving = arrival.arriving(outcome.directory)
        self._archive = files.pack(self._plan(trial) for trial in {one.cell.number: one for one in todo}.values())

    def run(self) -> None:
        """Make all runs; see `make_on_workers`."""
        self._begin()
        while self._waiting or self._busy:
            self._give_out()
            if report := self._cluster.report(_LOOK_S):
                self._take_in(report)
            if time.monotonic() - self._last_look >= _LOOK_S:
                self._look()

    @property
    def _busy(self) -> list[Worker]:
        return [each for each in self._workers.values() if each.job]

    def _begin(self) -> None:
        """Welcome the first workers."""
        version = self._cluster.scheduler_version()
        if version != __version__:
            raise _versions_differ("the scheduler", version)
        for address, greeting in self._greetings(self._cluster.addresses()).items():
            if isinstance(greeting, str):
                self._refuse(address, greeting)
            elif greeting.version != __version__:
                raise _versions_differ(f"worker {address}", greeting.version)
            else:
                self._welcome(address, greeting)
        if not self._workers:
            why = f"none of its {len(self._unused)} can make runs" if self._unused else "there is none"
            raise MachineError(
                "no-workers",
                f"the scheduler at {self._cluster.address} has no worker for this: {why}",
                f"start one on each machine: dask worker {self._cluster.address} --nthreads 1 --resources {RESOURCE}=1",
            )
        names = ", ".join(map(str, self._workers.values()))
        self._observer.noted(f"{len(self._workers)} at {self._cluster.address}: {names}")

    def _greetings(self, addresses: Iterable[str]) -> dict[str, Greeting | str]:
        """Ask workers what they are; instead of a greeting there may be the reason why there is none."""
        return {
            address: found if isinstance(found, Greeting) else f"{type(found).__name__}: {found}"
            for address, found in sorted(self._cluster.greetings(addresses).items())
        }

    def _welcome(self, address: str, greeting: Greeting) -> None:
        """Use a worker, if it can be used."""
        same = [str(each) for each in self._workers.values() if each.greeting.machine == greeting.machine]
        if greeting.labs < 1:
            self._refuse(address, f"it has no resource {RESOURCE}: start it with --resources {RESOURCE}=1")
        elif same:
            self._refuse(address, f"it is on the same machine as {same[0]}", greeting.machine)
        else:
            name = f"testbed-{self._outcome.matrix.identifier}-{secrets.token_hex(4)}.zip"
            try:
                stored = self._cluster.give_files(address, greeting.scratch, name, self._archive)
            except WorkerGoneError:
                return
            self._workers[address] = Worker(address=address, greeting=greeting, files=stored)

    def _refuse(self, address: str, why: str, machine: str = "") -> None:
        self._unused[address] = machine
        self._observer.noted(f"{address} is not used: {why}")

    def _look(self) -> None:
        """See which workers have gone, and which have come."""
        self._last_look = time.monotonic()
        present = set(self._cluster.addresses())
        for worker in [each for each in self._workers.values() if each.address not in present]:
            self._lose(worker)
        self._unused = {address: machine for address, machine in self._unused.items() if address in present}
        if new := present - self._workers.keys() - self._unused.keys():
            for address, greeting in self._greetings(new).items():
                if isinstance(greeting, str):
                    continue  # it has gone again
                if greeting.version != __version__:
                    self._refuse(address, f"it has testbed {greeting.version}, and this is {__version__}")
                    continue
                self._welcome(address, greeting)
                if address in self._workers:
                    self._observer.noted(f"{self._workers[address]} has come")
        if self._workers:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > _RETURN_S or self._unused:
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
        for worker in [*self._workers.values()]:
            if worker.job or not self._waiting:
                continue
            if runtime_of(self._waiting[0], self._outcome.matrix, self._runs) == "auto" and self._busy:
                return  # the first run chooses
            trial = self._waiting.popleft()
            identifier = f"{trial.cell.lab}-{trial.seed}-{secrets.token_hex(4)}"
            worker.job = Job(identifier=identifier, trial=trial, plan=self._plan(trial))
            rest = [*self._waiting, *(each.job.trial for each in self._busy if each.job)]
            left = left_s(rest, self._runs)
            left = left and left / len(self._workers)
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
        """Take in what came of a trial."""
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
        worker.job = None
        if report.outcome.failure:
            self._fail(worker, job.trial, _error(report.outcome, job, report.directory, run))
        elif run is not None:
            worker.in_a_row = 0
            self._runs[job.trial.key] = run
            self._observer.finished(run)

    def _fetched(self, worker: Worker, job: Job, report: Report) -> Run | None:
        """Bring the run of a trial home; None if there is none."""
        if report.outcome is None or not report.outcome.recorded:
            return None
        file = self._arriving / f"{job.identifier}.zip"
        self._cluster.fetch(worker.address, report.directory, file)
        try:
            return arrival.place(file, self._outcome.directory, job.plan)
        finally:
            file.unlink()

    def _fail(self, worker: Worker, trial: Trial, error: TestbedError) -> None:
        """Note that a run has failed, or that a worker can't make runs."""
        self._last_error = error
        worker.in_a_row += 1
        if isinstance(error, MachineError):  # it lacks something that others may have
            self._waiting.appendleft(trial)
            self._observer.postponed(trial, f"worker {worker} can't make it: {error}")
        else:
            self._observer.failed(trial, error)
        if isinstance(error, MachineError) or worker.in_a_row == TOO_MANY:
            del self._workers[worker.address]
            found = (
                "it lacks something" if isinstance(error, MachineError) else f"{TOO_MANY} runs in a row failed there"
            )
            self._refuse(worker.address, f"{found}: {error.message}")
            if not self._workers and (self._waiting or isinstance(error, MachineError)):
                raise self._none_left()

    def _lose(self, worker: Worker) -> None:
        """Give the trial of a worker that has gone to another one."""
        _log.info("worker %s has gone", worker)
        del self._workers[worker.address]
        self._unused = {each: machine for each, machine in self._unused.items() if machine != worker.greeting.machine}
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
    """Refuse topologies that name what runs already on this machine.

    Raises:
        UsageError: `not-sent`.
    """
    for trial in todo:
        if trial.cell.topology.lacks_discovery:
            raise UsageError(
                "not-sent",
                f"topology {trial.cell.topology.name} names containers, namespaces or a compose project of this "
                "machine, which workers don't have",
                "leave --workers out, or describe them as nodes",
            )


def _versions_differ(who: str, version: str) -> MachineError:
    found = f"testbed {version}" if version else "no testbed that can make runs for others"
    return MachineError(
        "versions-differ",
        f"{who} has {found}, and this is testbed {__version__}",
        f"pip install 'testbed-lab[cluster]=={__version__}' there, and start it again",
    )


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
