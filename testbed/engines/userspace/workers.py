"""Carries links in worker processes of the userspace engine: which worker has which link."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from testbed.engines.counters import Counters
from testbed.engines.userspace import requests
from testbed.engines.userspace.worker_process import WorkerProcess
from testbed.errors import LabError

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterable, Sequence
    from types import TracebackType

    from testbed.impairments import Impairments

_FILES_PER_LINK: Final = 2
_OTHER_FILES: Final = 256
"""Files that a worker has open for other things than its links: its own, and those of a request."""


def _files_most() -> int:
    """Return how many files a worker may have open, having raised the limit as far as the kernel lets this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = int(Path("/proc/sys/fs/nr_open").read_text(encoding="ascii"))
        if most > hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
            return most
    except (OSError, ValueError):  # an ordinary user may not
        pass
    return hard


async def _restart(worker: WorkerProcess, links: Sequence[str], origin_ns: int | None) -> LabError | None:
    """Restart links of a worker, and return the first failure."""
    failures = []
    for first in range(0, len(links), requests.RESTARTED_MOST):
        part = links[first : first + requests.RESTARTED_MOST]
        try:
            await worker.ask(requests.RestartLinks(links=tuple(part), origin_ns=origin_ns))
        except LabError as failure:
            failures.append(failure)
            if worker.death:
                break
    return failures[0] if failures else None


class SocketLink(NamedTuple):
    """A link for a worker, from `source` to `output` (`sockets.open_input`, `sockets.open_output`).

    `origin_ns` is time zero of its traces, ns of CLOCK_MONOTONIC; None is now.
    """

    name: str
    impairments: Impairments
    seed: int
    source: socket.socket
    output: socket.socket
    origin_ns: int | None = None


class Workers:
    """Carries links in as many worker processes as there are cores, or as the limit on open files makes it.

    They are started when first needed.

    A link goes to the worker that carries the fewest, so that the two directions of a pair, added one after the other,
    are on different ones. A worker that ends is never replaced: its links pass nothing and `counters` says why.
    """

    def __init__(self) -> None:
        self._workers: list[WorkerProcess] = []
        self._carrier: dict[str, WorkerProcess] = {}
        self._starting = asyncio.Lock()
        self._workers_most = len(os.sched_getaffinity(0))
        self._links_most = (_files_most() - _OTHER_FILES) // _FILES_PER_LINK  # of one worker

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def prepare(self, links: int) -> None:
        """Start the workers that a number of links will need."""
        async with self._starting:
            while len(self._workers) < min(links, self._workers_most):
                self._workers.append(await WorkerProcess.start())

    async def add(self, links: Sequence[SocketLink]) -> None:
        """Add links, all or none, with at most `requests.LINKS_MOST` of them; workers pass no frames meanwhile.

        The sockets are the workers' from now on, and are closed here, also if this fails.

        Raises:
            LabError: a link of that name exists, or its worker refused it or died. None of these links is added then.
        """
        try:
            if known := [link.name for link in links if link.name in self._carrier]:
                raise LabError("userspace-engine-refused", f"link {known[0]} is impaired already")
            parts: dict[WorkerProcess, list[SocketLink]] = {}
            try:
                for link in links:
                    parts.setdefault(await self._least_busy(link.name), []).append(link)
            except LabError:
                self._forget(links)
                raise
            failures = await asyncio.gather(*(self._add(*part) for part in parts.items()))
            if failure := next((error for error in failures if error), None):
                for name in [link.name for link in links if link.name in self._carrier]:
                    await self.remove(name)
                raise failure
        finally:
            for link in links:
                link.source.close()
                link.output.close()

    async def _add(self, worker: WorkerProcess, links: Sequence[SocketLink]) -> LabError | None:
        """Add links to a worker, and return the error if it refuses them."""
        try:
            await worker.ask(
                requests.Add(links=tuple(requests.Begun(link.name, link.seed, link.origin_ns) for link in links)),
                impairments=[link.impairments for link in links],
                sockets=(sock for link in links for sock in (link.source, link.output)),
            )
        except LabError as failure:  # when cancelled the links may be up: they stay known, to be removed
            self._forget(links)
            return failure
        return None

    def _forget(self, links: Iterable[SocketLink]) -> None:
        for link in links:
            if worker := self._carrier.pop(link.name, None):
                worker.links.discard(link.name)

    async def _least_busy(self, link: str) -> WorkerProcess:
        async with self._starting:
            living = [worker for worker in self._workers if not worker.death]
            least = min(living, key=lambda worker: len(worker.links), default=None)
            is_full = least is not None and len(least.links) >= self._links_most
            if is_full or (len(self._workers) < self._workers_most and all(worker.links for worker in living)):
                worker = await WorkerProcess.start()
                self._workers.append(worker)
            elif least is not None:
                worker = least
            else:
                raise LabError("userspace-worker-died", f"no worker is left for link {link}: all have ended")
            worker.links.add(link)
            self._carrier[link] = worker
            return worker

    async def replace(self, link: str, impairments: Impairments) -> None:
        """Replace the impairments of a link as a whole, for its later frames.

        Raises:
            LabError: there is no such link, or it is dead.
        """
        await self._worker(link).ask(requests.Replace(link=link), impairments=[impairments])

    async def restart(self, links: Iterable[str], origin_ns: int | None = None) -> None:
        """Restart links with nothing in flight, all counters at zero and their random numbers from the seed on.

        The n-th packet from then on has the same fate whenever the seed is the same. All are tried, also after a
        failure.

        Args:
            links: their names.
            origin_ns: time zero of their traces, ns of CLOCK_MONOTONIC; None is now.

        Raises:
            LabError: the first failure: there is no such link, or it is dead.
        """
        links_of: dict[WorkerProcess, list[str]] = {}
        for link in links:
            links_of.setdefault(self._worker(link), []).append(link)
        failures = await asyncio.gather(*(_restart(worker, part, origin_ns) for worker, part in links_of.items()))
        if failure := next((error for error in failures if error), None):
            raise failure

    async def remove(self, link: str) -> None:
        """Remove a link and drop its frames in flight. A link whose worker died is only forgotten.

        Raises:
            LabError: there is no such link.
        """
        worker = self._worker(link)
        if not worker.death:
            await worker.ask(requests.Remove(link=link))
        worker.links.discard(link)
        del self._carrier[link]

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:
        """Return the counters of every link, or of those of `links` that are carried here.

        Of those whose worker died only `dead` is known.
        """
        links_of: dict[WorkerProcess, list[str]] = {}
        for link in self._carrier if links is None else links:
            if link in self._carrier:
                links_of.setdefault(self._carrier[link], []).append(link)
        parts = await asyncio.gather(*(self._counters_of(worker, links) for worker, links in links_of.items()))
        return {link: counters for part in parts for link, counters in part.items()}

    async def _counters_of(self, worker: WorkerProcess, links: Sequence[str]) -> dict[str, Counters]:
        """Return the counters of links of one worker, without those that are removed meanwhile."""
        counters_of: dict[str, Counters] = {}
        waiting = deque(links)
        while waiting:
            part = [waiting.popleft() for _ in range(min(len(waiting), requests.COUNTED_MOST))]
            present = tuple(link for link in part if self._carrier.get(link) is worker)
            try:
                answer = await worker.ask(requests.Count(links=present))
            except LabError:
                if worker.death:
                    counters_of |= {link: Counters(dead=worker.death) for link in present}
                elif all(self._carrier.get(link) is worker for link in present):
                    raise
                else:
                    waiting.extendleft(present)
            else:
                counters_of |= answer.counters or {}
        return counters_of

    def dead(self) -> dict[str, str]:
        """Return the links whose worker has ended, and how."""
        how = {worker: worker.death for worker in {*self._carrier.values()} if worker.death}
        return {link: how[worker] for link, worker in self._carrier.items() if worker in how} if how else {}

    def _worker(self, link: str) -> WorkerProcess:
        try:
            return self._carrier[link]
        except KeyError:
            known = ", ".join(sorted(self._carrier)) or "none"
            raise LabError(
                "userspace-engine-refused", f"link {link} is not impaired here; those are: {known}"
            ) from None

    async def aclose(self) -> None:
        """End all workers. Frames in flight are dropped, and links pass nothing any more."""
        workers, self._workers = self._workers, []
        self._carrier.clear()
        await asyncio.gather(*(worker.stop() for worker in workers))
