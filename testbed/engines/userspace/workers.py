"""Starts the worker processes of the userspace engine, and sends them requests."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import socket
import subprocess
import sys
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from testbed import codec
from testbed.engines.counters import Counters
from testbed.engines.userspace import requests
from testbed.errors import LabError
from testbed.impairments.distributions import quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from testbed.impairments import Impairments

_log = logging.getLogger(__name__)

_ANSWER_S: Final = 10
"""Seconds after which a worker that has not answered counts as stuck; it answers between two batches of frames."""


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


class _WorkerProcess:
    """One worker process, which gets one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._turn = asyncio.Lock()
        self._requests = 0
        self.links: set[str] = set()

    @classmethod
    async def start(cls) -> Self:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        root = str(Path(__file__).parents[3])  # the worker is of this very version of the package
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "testbed.engines.userspace.worker",
                str(theirs.fileno()),
                str(_log.getEffectiveLevel()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": root},
                start_new_session=True,  # a terminal's Ctrl-C is for the agent to act on
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        _log.info("userspace worker started: pid %d", process.pid)
        return cls(process, ours)

    @property
    def death(self) -> str | None:
        """How the worker ended, or None while it runs."""
        status = self._process.returncode
        return None if status is None else f"its worker process ended with status {status}"

    async def ask(
        self,
        request: requests.Request,
        *,
        impairments: Sequence[Impairments] = (),
        sockets: Iterable[socket.socket] = (),
    ) -> requests.Answer:
        """Send a request, and return the answer once the request has taken effect.

        Args:
            request: it gets its `id` here.
            impairments: of the file that the request passes, if any.
            sockets: that the request passes.

        Raises:
            LabError: the worker refused, has ended or is stuck.
        """
        try:
            async with self._turn, asyncio.timeout(_ANSWER_S):
                self._requests += 1
                number = self._requests
                data = requests.encode(msgspec.structs.replace(request, id=number))
                with _in_file(impairments) as files:
                    socket.send_fds(self._control, [data], [*files, *(sock.fileno() for sock in sockets)])
                answer = await self._next_answer()
                while answer.id != number:  # the answer to a request whose caller was cancelled
                    answer = await self._next_answer()
        except (TimeoutError, BlockingIOError):  # the latter if it has not even read the requests before
            message = f"link {request.link}: no answer to {_name(request)} within {_ANSWER_S} s"
            raise LabError("userspace-worker-stuck", message) from None
        except (BrokenPipeError, ConnectionResetError):
            status = await self._ended()
            _log.warning("userspace worker %d ended with status %d", self._process.pid, status)
            raise LabError(
                "userspace-worker-died",
                f"link {request.link} passes nothing any more: its worker process ended with status {status}",
                "the agent's log has its last words; take the lab down and bring it up again",
            ) from None
        if answer.error is not None:
            raise LabError("userspace-engine-refused", f"link {request.link}: {_name(request)}: {answer.error}")
        return answer

    async def _next_answer(self) -> requests.Answer:
        datagram = await asyncio.get_running_loop().sock_recv(self._control, requests.DATAGRAM_BYTES)
        if not datagram:
            raise ConnectionResetError
        return requests.decode_answer(datagram)

    async def stop(self) -> None:
        """End the worker. Its links then pass nothing."""
        async with self._turn:  # its holder waits for an answer, for a limited time, with a reader on this socket
            self._control.close()
        await self._ended()

    async def _ended(self) -> int:
        """Return the exit status of a worker whose control socket is closed, and kill it if it does not end."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


def _name(request: requests.Request) -> str:
    return type(request).__name__.lower()


@contextmanager
def _in_file(impairments: Sequence[Impairments]) -> Iterator[list[int]]:
    """Yield the descriptor of a file in memory that contains impairments of links; an empty list if there are none.

    A computed distribution is sent as its table, so that the worker need not compute it.
    """
    if not impairments:
        yield []
        return
    data = json.dumps(codec.encode([_with_table(of_link) for of_link in impairments]))
    with open(os.memfd_create("impairments"), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
        file.flush()
        yield [file.fileno()]


def _with_table(impairments: Impairments) -> Impairments:
    jitter = impairments.jitter
    if jitter and (table := quantiles(jitter.distribution)):
        return replace(impairments, jitter=replace(jitter, distribution=table))
    return impairments


async def _restart(worker: _WorkerProcess, links: Sequence[str], origin_ns: int | None) -> LabError | None:
    """Restart links of a worker, and return the first failure."""
    failures = []
    for first in range(0, len(links), requests.RESTARTED_MOST):
        part = links[first : first + requests.RESTARTED_MOST]
        try:
            await worker.ask(requests.Restart(links=tuple(part), origin_ns=origin_ns))
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
        self._workers: list[_WorkerProcess] = []
        self._carrier: dict[str, _WorkerProcess] = {}
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
                self._workers.append(await _WorkerProcess.start())

    async def add(self, links: Sequence[SocketLink]) -> None:
        """Add links, all or none, with at most `requests.LINKS_MOST` of them; workers pass no frames meanwhile.

        The sockets are the workers' from now on, and are closed here, also if this fails.

        Raises:
            LabError: a link of that name exists, or its worker refused it or died. None of these links is added then.
        """
        try:
            if known := [link.name for link in links if link.name in self._carrier]:
                raise LabError("userspace-engine-refused", f"link {known[0]} is impaired already")
            parts: dict[_WorkerProcess, list[SocketLink]] = {}
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

    async def _add(self, worker: _WorkerProcess, links: Sequence[SocketLink]) -> LabError | None:
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

    async def _least_busy(self, link: str) -> _WorkerProcess:
        async with self._starting:
            living = [worker for worker in self._workers if not worker.death]
            least = min(living, key=lambda worker: len(worker.links), default=None)
            is_full = least is not None and len(least.links) >= self._links_most
            if is_full or (len(self._workers) < self._workers_most and all(worker.links for worker in living)):
                worker = await _WorkerProcess.start()
                self._workers.append(worker)
            elif least is not None:
                worker = least
            else:
                raise LabError("userspace-worker-died", f"link {link} finds no worker: all have ended")
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
        links_of: dict[_WorkerProcess, list[str]] = {}
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

    async def counters(self) -> dict[str, Counters]:
        """Return the counters of every link; of those whose worker died only `dead` is known."""
        links_of: dict[_WorkerProcess, list[str]] = {}
        for link, worker in self._carrier.items():
            links_of.setdefault(worker, []).append(link)
        parts = await asyncio.gather(*(self._counters_of(worker, links) for worker, links in links_of.items()))
        return {link: counters for part in parts for link, counters in part.items()}

    async def _counters_of(self, worker: _WorkerProcess, links: Sequence[str]) -> dict[str, Counters]:
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
        return {link: worker.death for link, worker in self._carrier.items() if worker.death}

    def _worker(self, link: str) -> _WorkerProcess:
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
