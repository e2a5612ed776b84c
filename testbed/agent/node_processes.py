"""The processes of a netns node, by way of its first one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from testbed.agent import node_init, nodes
from testbed.agent.processes import Process, Streams, reap, refused
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.nodes import NodeNamespaces

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 30
"""In which a node's first process starts a command: until it is executed, which takes milliseconds."""


_Answer = node_init.CommandStarted | node_init.Refused | node_init.Signalled


class NodeProcesses:
    """The processes of a netns node: its first one (see `node_init`), and the commands which that starts.

    Attributes:
        is_held: the agent pauses them, so that their pauses do not count.
        pid: of the first one.
    """

    def __init__(self, node: NodeNamespaces) -> None:
        self.is_held = False
        self._node = node
        self.pid, self._control = node_init.fork(node)
        _log.debug("first process of node %s: pid %d", node.name, self.pid)
        self._control.setblocking(False)  # noqa: FBT003
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        reap(self.pid, self._ended)
        self._failure = ""
        """Why the first one ended, as it said itself."""
        self._turn = asyncio.Lock()
        self._number = 0
        """Of the last message that is to be answered."""
        self._answer: asyncio.Future[_Answer] | None = None
        self._running: dict[int, Process] = {}
        self._listening = asyncio.create_task(self._listen())

    def pids(self) -> list[int]:
        """Return the numbers of all of them, as the agent sees them."""
        return nodes.processes_beside(self.pid)

    async def start(
        self, argv: Sequence[str], *, environment: Mapping[str, str], stdio: Sequence[int] = (), tty: bool = False
    ) -> Process:
        """Start a command, as the leader of a process group of its own, in the directory of the topology.

        Args:
            argv: the command, looked up in PATH.
            environment: all of its variables.
            stdio: descriptors for its standard streams, in their order; the rest are pipes.
            tty: the first of them is a terminal and becomes the controlling one.

        Raises:
            UsageError: `command-not-found`, `command-refused`, `no-directory`.
            LabError: `not-in-node`, the node's first process has ended, or does not answer.
        """
        streams = Streams(stdio)
        command = node_init.PopenArguments(
            argv=tuple(argv), cwd=self._node.directory, environment=dict(environment), tty=tty
        )
        try:
            async with self._turn, asyncio.timeout(_ANSWER_SECONDS):
                self._number += 1
                number = self._number
                process = Process(streams, lambda sent: self._send(node_init.Signal(id=number, number=sent)))
                self._running[number] = process
                with os.fdopen(os.memfd_create("command"), "w", encoding="utf-8") as file:
                    json.dump(msgspec.to_builtins(command), file)  # msgspec's own refuses a PATH that is not UTF-8
                    file.flush()
                    answer = await self._ask(node_init.StartCommand(id=number), file.fileno(), *streams.theirs)
        except (TimeoutError, ConnectionError) as error:
            streams.close()
            raise await self._not_in_node(f"could not start {argv[0]} in {self._node.name}", error) from None
        finally:
            streams.hand_over()
        if isinstance(answer, node_init.Refused):
            del self._running[number]
            streams.close()
            raise refused(self._node, answer.errno, answer.file)
        assert isinstance(answer, node_init.CommandStarted)  # noqa: S101  # what else a `StartCommand` is answered with
        process.pid = answer.pid
        return process

    async def signal_all(self, number: int) -> None:
        """Send a signal to all processes of the node, in one step; those that end meanwhile start none any more.

        Raises:
            LabError: `not-in-node`, the node's first process has ended, or does not answer.
        """
        try:
            async with self._turn, asyncio.timeout(_ANSWER_SECONDS):
                self._number += 1
                await self._ask(node_init.SignalAll(id=self._number, number=number))
        except (TimeoutError, ConnectionError) as error:
            raise await self._not_in_node(f"could not signal the processes of {self._node.name}", error) from None

    async def _not_in_node(self, what: str, error: TimeoutError | ConnectionError) -> LabError:
        """Return the error that something could not be done, with why the node's first process does nothing for it."""
        if isinstance(error, TimeoutError):
            why = f"does not answer within {_ANSWER_SECONDS} s"
        else:
            await asyncio.shield(self._listening)
            status = await asyncio.shield(self._ended)
            why = f"has ended: {self._failure or f'status {status}'}"
        hint = "take the lab down and bring it up again"
        return LabError("not-in-node", f"{what}: the node's first process {why}", hint)

    async def kill(self) -> None:
        """Kill all processes of the node, the first one too; the kernel does so in one step."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        await asyncio.shield(self._ended)
        await self._listening
        self._control.close()

    async def _ask(self, message: node_init.StartCommand | node_init.SignalAll, *fds: int) -> _Answer:
        """Send the node's first process a message, and return its answer.

        Raises:
            ConnectionError: the node's first process has ended.
        """
        if self._listening.done():
            raise BrokenPipeError
        self._answer = asyncio.get_running_loop().create_future()
        self._send(message, *fds)
        try:
            return await self._answer
        finally:
            self._answer = None

    def _send(self, message: node_init.StartCommand | node_init.Signal | node_init.SignalAll, *fds: int) -> None:
        socket.send_fds(self._control, [msgspec.json.encode(message)], fds)

    async def _listen(self) -> None:
        """Handle the reports of the node's first process until it ends; the kernel then kills the node's others."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while data := await loop.sock_recv(self._control, node_init.MESSAGE_BYTES):
                self._take(node_init.REPORTS.decode(data))
        _log.debug("first process of node %s has ended", self._node.name)
        for process in self._running.values():
            process.ended.set_result(-signal.SIGKILL)
        self._running.clear()
        if self._answer and not self._answer.done():
            self._answer.set_exception(BrokenPipeError())

    def _take(self, report: node_init.Report) -> None:
        """Handle a report of the node's first process."""
        match report:
            case node_init.Ended(id=number, status=status) if process := self._running.pop(number, None):
                process.ended.set_result(status)
            case node_init.Paused(id=number, paused=paused) if process := self._running.get(number):
                process.note_pause(paused=paused, counts=not self.is_held)
            case node_init.FirstProcessFailed(reason=reason):
                _log.error("node %s: its first process ends: %s", self._node.name, reason)
                self._failure = reason
            case node_init.CommandStarted() | node_init.Refused() | node_init.Signalled():
                if report.id == self._number and self._answer and not self._answer.done():
                    self._answer.set_result(report)
                elif isinstance(report, node_init.CommandStarted):  # too late: it was told as not started
                    self._send(node_init.Signal(id=report.id, number=signal.SIGKILL))
                elif isinstance(report, node_init.Refused):
                    self._running.pop(report.id, None)
            case _:
                _log.warning("node %s: its first process reports what it was not asked: %s", self._node.name, report)
