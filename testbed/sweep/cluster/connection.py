"""A Dask scheduler and its workers. The only module that imports `distributed`, which is an extra."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from testbed.errors import LabError, MachineError, UsageError
from testbed.runs.output_files import reporting_write_errors
from testbed.sweep.cluster import worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from distributed import Client, Future

    from testbed.sweep.cluster.trial import Outcome
    from testbed.sweep.cluster.worker import Greeting

_log = logging.getLogger(__name__)

_CONNECT_S = 10
_PIECE_BYTES = 4 << 20


class WorkerGoneError(Exception):
    """A worker does not answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A trial has ended.

    Attributes:
        trial: its identifier.
        directory: on the worker; the archive of the run is there.
        error: what Dask says instead of an outcome.
    """

    trial: str
    outcome: Outcome | None = None
    directory: str = ""
    error: str = ""


class Cluster:
    """A connection to a scheduler.

    Attributes:
        address: of the scheduler.
    """

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            UsageError: `bad-address`.
            MachineError: `no-distributed`: the extra is not installed; `no-certificate`; `no-scheduler`: none answers.
        """
        if not re.fullmatch(r"(tcp|tls)://\S+:[0-9]{1,5}", address):
            raise UsageError(
                "bad-address",
                f"{address!r} is not the address of a Dask scheduler",
                "write it like tcp://HOST:8786, or tls://HOST:8786",
            )
        self.address = address
        self._client = _connected(address)
        self._reports: SimpleQueue[tuple[str, Future]] = SimpleQueue()
        self._futures: dict[str, tuple[str, Future]] = {}
        self._files: dict[str, str] = {}

    def scheduler_version(self) -> str:
        """Return the version of the testbed that the scheduler has; empty if it has none."""
        with self._asking():
            try:
                return str(self._client.run_on_scheduler(worker.version))
            except (ImportError, AttributeError):
                return ""

    def addresses(self) -> list[str]:
        """Return the addresses of the workers that are there now.

        Raises:
            LabError: `scheduler-gone`.
        """
        with self._asking():
            return sorted(self._client.nthreads())

    def greetings(self, addresses: Iterable[str]) -> dict[str, Greeting | Exception]:
        """Ask workers what they are; instead of a greeting there may be an error."""
        with self._asking():
            answers = self._client.run(worker.greet, workers=[*addresses], on_error="return")
        return cast("dict[str, Greeting | Exception]", answers)

    def give_files(self, address: str, scratch: str, name: str, content: bytes) -> str:
        """Give a worker the archive of files, and return its path there.

        Raises:
            WorkerGoneError: the worker does not answer.
            LabError: `worker-failed`: it can't keep them.
        """
        path = self._files[address] = str(self._call(address, worker.keep_files, scratch, name, content))
        return path

    def begin(self, trial: str, address: str, scratch: str, files: str, plan: Mapping[str, Any]) -> None:
        """Have a worker make a run; `report` tells when it has ended."""
        with self._asking():
            future = self._client.submit(
                worker.make,
                trial,
                scratch,
                files,
                plan,
                workers=[address],
                allow_other_workers=False,
                resources={worker.RESOURCE: 1},
                pure=False,
            )
        self._futures[trial] = address, future
        future.add_done_callback(lambda done: self._reports.put((trial, done)))

    def report(self, timeout_s: float) -> Report | None:
        """Return the report of a trial that has ended and was not abandoned; None if there is none in time."""
        try:
            trial, future = self._reports.get(timeout=timeout_s)
        except Empty:
            return None
        if self._futures.pop(trial, None) is None:
            return None
        if future.status != "finished":
            error = None if future.cancelled() else future.exception()
            return Report(trial=trial, error=f"Dask: {type(error).__name__}: {error}" if error else "Dask cancelled it")
        outcome, directory = future.result()
        return Report(trial=trial, outcome=outcome, directory=directory)

    def fetch(self, address: str, directory: str, file: Path) -> None:
        """Fetch the archive of a run from a worker, piece by piece, because it may be large; remove it there.

        Raises:
            WorkerGoneError: the worker does not answer.
            LabError: `worker-failed`: it does not have the run any more.
            UsageError: `not-written`.
        """
        with reporting_write_errors(file), file.open("wb") as written:
            while content := self._call(address, worker.piece, directory, written.tell(), _PIECE_BYTES):
                written.write(cast("bytes", content))
        self._call(address, worker.forget, directory)

    def abandon(self, trial: str) -> None:
        """Expect no report of a trial any more."""
        if known := self._futures.pop(trial, None):
            self._client.cancel([known[1]], force=True)

    def stop(self) -> list[str]:
        """Stop all trials, wait until their labs are down, and remove the files from all workers.

        Returns:
            The addresses of workers where a lab is not down.
        """
        trials = [*self._futures]
        try:
            with self._asking():
                for trial in trials:
                    self.abandon(trial)
                addresses = [address for address in self._client.nthreads() if address in self._files]
                answers = self._client.run(worker.stop, trials, self._files, workers=addresses, on_error="return")
        except LabError as error:  # without a scheduler, workers end, and trials with them
            _log.info("trials are not stopped: %s", error)
            return []
        return [address for address, answer in answers.items() if answer is False]

    def close(self) -> None:
        """Disconnect."""
        self._client.close(timeout=_CONNECT_S)

    def _call(self, address: str, function: object, *arguments: object) -> object:
        try:
            return self._client.run(function, *arguments, workers=[address])[address]
        except (OSError, TimeoutError, KeyError) as error:
            if address in self.addresses():
                raise LabError("worker-failed", f"worker {address}: {error}") from None
            raise WorkerGoneError(address) from None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn errors that say that there is no scheduler any more into ours.

        Raises:
            LabError: `scheduler-gone`.
        """
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError | TimeoutError) and self._client.status == "running":
                raise
            raise LabError(
                "scheduler-gone",
                f"the Dask scheduler at {self.address} does not answer any more: {error}",
                "the same command continues the sweep when it does",
            ) from None


def _connected(address: str) -> Client:
    try:
        from distributed import Client, Security  # noqa: PLC0415  # it takes half a second to import, and is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("distributed", "dask"):
            raise
        raise MachineError(
            "no-distributed",
            "sweeps over machines need Dask's distributed, which is not installed",
            "pip install 'testbed-lab[cluster]', here and on the machines of the scheduler and the workers",
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it logs as errors, with tracebacks, we raise
    if address.startswith("tls:") and Security().get_connection_args("client")["ssl_context"] is None:
        raise MachineError(
            "no-certificate",
            f"{address} needs TLS, and Dask's configuration has no certificate of the client",
            "give distributed.comm.tls.ca-file and distributed.comm.tls.client in ~/.config/dask/distributed.yaml",
        )
    try:
        return Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise MachineError(
            "no-scheduler",
            f"no Dask scheduler answers at {address}: {error}",
            "dask scheduler starts one there, at port 8786 unless told otherwise",
        ) from None
