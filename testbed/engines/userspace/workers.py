"""The agent's handle on the worker processes that carry links in user space."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from testbed import codec
from testbed.engines.counters import Counters
from testbed.engines.userspace.worker import REQUEST_BYTES
from testbed.errors import LabError
from testbed.impairments.distributions import quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from testbed.impairments import Impairments

_ANSWER_S: Final = 10
"""Seconds after which a worker that has not answered counts as stuck; it answers between two batches of frames."""


class _WorkerProcess:
    """One worker, and one question to it at a time."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._turn = asyncio.Lock()
        self._questions = 0
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
        return cls(process, ours)

    @property
    def death(self) -> str | None:
        """How the worker ended, or None while it runs."""
        status = self._process.returncode
        return None if status is None else f"its worker process ended with status {status}"

    async def ask(
        self,
        do: str,
        link: str,
        *,
        impairments: Sequence[Impairments] = (),
        sockets: Iterable[socket.socket] = (),
        **more: object,
    ) -> dict[str, Any]:
        """Send a request, and return the answer once the request has taken effect.

        Raises:
            LabError: the worker refused, has ended or is stuck.
        """
        try:
            async with self._turn, asyncio.timeout(_ANSWER_S):
                self._questions += 1
                number = self._questions
                data = json.dumps({"id": number, "do": do, "link": link, **more}).encode()
                with _in_file(impairments) as files:
                    socket.send_fds(self._control, [data], [*files, *(sock.fileno() for sock in sockets)])
                answer = await self._next_answer()
                while answer["id"] != number:  # the answer to a request whose caller was cancelled
                    answer = await self._next_answer()
        except (TimeoutError, BlockingIOError):  # the latter if it has not even read the requests before
            raise LabError("userspace-worker-stuck", f"link {link}: no answer to {do} within {_ANSWER_S} s") from None
        except (BrokenPipeError, ConnectionResetError):
            status = await self._ended()
            raise LabError(
                "userspace-worker-died",
                f"link {link} passes nothing any more: its worker process ended with status {status}",
                "the agent's log has its last words; take the lab down and bring it up again",
            ) from None
        if "error" in answer:
            raise LabError("userspace-engine-refused", f"link {link}: {do}: {answer['error']}")
        return answer

    async def _next_answer(self) -> dict[str, Any]:
        datagram = await asyncio.get_running_loop().sock_recv(self._control, REQUEST_BYTES)
        if not datagram:
            raise ConnectionResetError
        answer: dict[str, Any] = json.loads(datagram)
        return answer

    async def stop(self) -> None:
        """End the worker, which leaves its links black."""
        async with self._turn:  # its holder waits for an answer, for a limited time, with a reader on this socket
            self._control.close()
        await self._ended()

    async def _ended(self) -> int:
        """The exit status of a worker that nobody can talk to any more, which is to end by itself."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


@contextmanager
def _in_file(impairments: Sequence[Impairments]) -> Iterator[list[int]]:
    """Yield the descriptor of a file in memory that contains impairments of links; an empty list if there are none.

    A computed distribution is sent as its table, so that the worker need not compute it.
    """
    if not impairments:
        yield []
        return
    data = json.dumps([_with_table(of_link).to_json() for of_link in impairments])
    with open(os.memfd_create("impairments"), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
        file.flush()
        yield [file.fileno()]


def _with_table(impairments: Impairments) -> Impairments:
    jitter = impairments.jitter
    if jitter and (table := quantiles(jitter.distribution)):
        return replace(impairments, jitter=replace(jitter, distribution=table))
    return impairments


class SocketLink(NamedTuple):
    """A link that workers are to carry, from `source` to `output` (`sockets.open_input`, `sockets.open_output`)."""

    name: str
    impairments: Impairments
    seed: int
    source: socket.socket
    output: socket.socket


class Workers:
    """Carries links in as many worker processes as there are cores, started when first needed.

    A link goes to the worker that carries the fewest, so that the two directions of a pair, added one after the other,
    are on different ones. A worker that ends is never replaced: its links stay black and `counters` says why.
    """

    def __init__(self) -> None:
        self._workers: list[_WorkerProcess] = []
        self._carrier: dict[str, _WorkerProcess] = {}
        self._starting = asyncio.Lock()
        self._workers_most = len(os.sched_getaffinity(0))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def add(self, links: Sequence[SocketLink]) -> None:
        """Carry links as their impairments say: a few, for their workers carry nothing until they have them all.

        The sockets belong to the workers from now on, also where this fails.

        Raises:
            LabError: there is a link of a name, or its worker refused it or died. None of these links is carried then.
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
            if failure := next((each for each in failures if each), None):
                for name in [link.name for link in links if link.name in self._carrier]:
                    await self.remove(name)
                raise failure
        finally:
            for link in links:
                link.source.close()
                link.output.close()

    async def _add(self, worker: _WorkerProcess, links: Sequence[SocketLink]) -> LabError | None:
        """Have a worker carry links; why it carries none of them."""
        names = links[0].name + f" and {len(links) - 1} more" * (len(links) > 1)
        try:
            await worker.ask(
                "add",
                names,
                impairments=[link.impairments for link in links],
                sockets=(sock for link in links for sock in (link.source, link.output)),
                links=[{"link": link.name, "seed": link.seed} for link in links],
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
            if len(self._workers) < self._workers_most and all(worker.links for worker in living):
                worker = await _WorkerProcess.start()
                self._workers.append(worker)
            elif living:
                worker = min(living, key=lambda worker: len(worker.links))
            else:
                raise LabError("userspace-worker-died", f"link {link} finds no worker: all have ended")
            worker.links.add(link)
            self._carrier[link] = worker
            return worker

    async def replace(self, link: str, impairments: Impairments) -> None:
        """Impairments the link's later frames by `impairments`, as a whole.

        Raises:
            LabError: there is no such link, or it is dead.
        """
        await self._worker(link).ask("replace", link, impairments=[impairments])

    async def restart(self, link: str, impairments: Impairments, seed: int) -> None:
        """Begin the link anew: nothing in flight, nothing counted, and every random word as at first.

        So the n-th packet from then on meets the same fate every time that the seed is the same.

        Raises:
            LabError: there is no such link, or it is dead.
        """
        await self._worker(link).ask("restart", link, impairments=[impairments], seed=seed)

    async def remove(self, link: str) -> None:
        """Carry the link no more; frames in flight are dropped. A link whose worker died is forgotten.

        Raises:
            LabError: there is no such link.
        """
        worker = self._worker(link)
        if not worker.death:
            await worker.ask("remove", link)
        worker.links.discard(link)
        del self._carrier[link]

    async def counters(self) -> dict[str, Counters]:
        """The counters of every link; of those whose worker died only `dead` is known."""
        found = {}
        for link, worker in tuple(self._carrier.items()):
            try:
                found[link] = codec.decode((await worker.ask("stats", link))["stats"], Counters)
            except LabError:
                if worker.death:
                    found[link] = Counters(dead=worker.death)
                elif link in self._carrier:  # else it was removed meanwhile
                    raise
        return found

    def dead(self) -> dict[str, str]:
        """The links whose worker has ended, and how."""
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
