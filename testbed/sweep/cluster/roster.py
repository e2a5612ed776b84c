"""The workers that a sweep uses: one on each machine, of the same version of the testbed."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import __version__
from testbed.errors import LabError, MachineError
from testbed.sweep.cluster.connection import WorkerGoneError
from testbed.sweep.cluster.worker import RESOURCE, Greeting

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.plan import Plan
    from testbed.sweep.cluster.connection import Cluster
    from testbed.sweep.matrix import Trial
    from testbed.sweep.observer import SweepObserver


@dataclass(slots=True, kw_only=True)
class SweepWorker:
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


class Roster:
    """The workers that are used, as they come and go.

    Attributes:
        workers: by address.
    """

    def __init__(self, cluster: Cluster, observer: SweepObserver, archive: bytes) -> None:
        """Prepare for workers, each of which gets an archive of files."""
        self.workers: dict[str, SweepWorker] = {}
        self._cluster, self._observer, self._archive = cluster, observer, archive
        self._unused: dict[str, str] = {}
        """Addresses of workers that are not used, with their machines if these have another one."""
        self._last_seen = time.monotonic()

    @property
    def empty_s(self) -> float:
        """For how long there has been no worker, s; 0 if there is one."""
        return 0 if self.workers else time.monotonic() - self._last_seen

    def begin(self) -> None:
        """Welcome the first workers.

        Raises:
            MachineError: `versions-differ`, `no-workers`.
        """
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
        if not self.workers:
            why = f"none of its {len(self._unused)} can make runs" if self._unused else "there is none"
            raise MachineError(
                "no-workers",
                f"the scheduler at {self._cluster.address} has no worker for this: {why}",
                f"start one on each machine: dask worker {self._cluster.address} --nthreads 1 --resources {RESOURCE}=1",
            )
        names = ", ".join(map(str, self.workers.values()))
        self._observer.noted(f"{len(self.workers)} at {self._cluster.address}: {names}")

    def _greetings(self, addresses: Collection[str]) -> dict[str, Greeting | str]:
        """Ask workers what they are; instead of a greeting there may be the reason why there is none."""
        if not addresses:
            return {}
        return {
            address: found if isinstance(found, Greeting) else f"{type(found).__name__}: {found}"
            for address, found in sorted(self._cluster.greetings(addresses).items())
        }

    def _welcome(self, address: str, greeting: Greeting) -> None:
        """Use a worker, if it can be used."""
        same = [str(each) for each in self.workers.values() if each.greeting.machine == greeting.machine]
        if greeting.labs < 1:
            self._refuse(address, f"it has no resource {RESOURCE}: start it with --resources {RESOURCE}=1")
        elif same:
            self._refuse(address, f"it is on the same machine as {same[0]}", greeting.machine)
        else:
            name = f"testbed-{secrets.token_hex(8)}.zip"
            try:
                stored = self._cluster.give_files(address, greeting.scratch, name, self._archive)
            except WorkerGoneError:
                return
            except LabError as error:
                self._refuse(address, error.message)
                return
            self.workers[address] = SweepWorker(address=address, greeting=greeting, files=stored)

    def _refuse(self, address: str, why: str, machine: str = "") -> None:
        self._unused[address] = machine
        self._observer.noted(f"{address} is not used: {why}")

    def look(self) -> list[SweepWorker]:
        """Welcome workers that have come, and return those that are used but have gone, which the caller `lose`s."""
        present = set(self._cluster.addresses())
        if self.workers:
            self._last_seen = time.monotonic()
        self._unused = {address: machine for address, machine in self._unused.items() if address in present}
        for address, greeting in self._greetings(present - self.workers.keys() - self._unused.keys()).items():
            if isinstance(greeting, str):
                self._refuse(address, greeting)
            elif greeting.version != __version__:
                self._refuse(address, f"it has testbed {greeting.version}, and this is {__version__}")
            else:
                self._welcome(address, greeting)
            if address in self.workers:
                self._observer.noted(f"{self.workers[address]} has joined")
        return [each for each in self.workers.values() if each.address not in present]

    def lose(self, worker: SweepWorker) -> None:
        """Use a worker no more that has gone; another one on its machine may be used instead."""
        del self.workers[worker.address]
        self._unused = {each: machine for each, machine in self._unused.items() if machine != worker.greeting.machine}

    def dismiss(self, worker: SweepWorker, why: str) -> None:
        """Use a worker no more that is still there."""
        del self.workers[worker.address]
        self._refuse(worker.address, why)


def _versions_differ(who: str, version: str) -> MachineError:
    found = f"testbed {version}" if version else "no testbed that can make runs for others"
    return MachineError(
        "versions-differ",
        f"{who} has {found}, and this is testbed {__version__}",
        f"pip install 'testbed-lab[cluster]=={__version__}' there, and start it again",
    )
