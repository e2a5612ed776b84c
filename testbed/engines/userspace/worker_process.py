"""A worker process (`worker.py`) as the process that starts it sees it: its start, requests to it, its end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from testbed import codec
from testbed.engines.userspace import requests
from testbed.errors import LabError
from testbed.impairments.distributions import quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.impairments import Impairments

_log = logging.getLogger(__name__)

_ANSWER_S: Final = 10
"""Seconds after which a worker that has not answered counts as stuck; it answers between two batches of frames."""


class WorkerProcess:
    """A worker process, which gets one request at a time.

    Attributes:
        links: those that it carries, by name.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._turn = asyncio.Lock()
        self._requests = 0
        self.links: set[str] = set()

    @classmethod
    async def start(cls) -> Self:
        """Start a worker, which carries no links yet."""
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
    return str(request.__struct_config__.tag)


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
