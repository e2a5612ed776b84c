"""Processes that the agent starts: commands in nodes, and programs of our own in a node's network."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from testbed.agent import node_init
from testbed.errors import LabError, UsageError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.agent.nodes import Node

_log = logging.getLogger(__name__)

_STREAMS = 3
_PIPE_BYTES = 1 << 16
_ANSWER_SECONDS = 30
"""In which a node's first process starts a command: until it is executed, which takes milliseconds."""


class Streams:
    """The standard streams of a process to start: its descriptors, and our ends of those that are pipes.

    Args:
        given: the caller's descriptors, in the order of the streams; the rest become pipes.
    """

    def __init__(self, given: Sequence[int]) -> None:
        self.theirs = [os.dup(fd) for fd in given]
        self._ours: list[int | None] = [None] * len(given)
        for number in range(len(given), _STREAMS):
            read, write = os.pipe()
            self.theirs.append(write if number else read)
            self._ours.append(read if number else write)
        self._transports: list[asyncio.ReadTransport] = []

    def hand_over(self) -> None:
        """Close our copies of the process's ends, after it was started or has failed to start."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    async def reader(self, number: int) -> asyncio.StreamReader | None:
        """Return a reader of the process's stream of that number; None if it is no pipe. Call it once."""
        fd, self._ours[number] = self._ours[number], None
        if fd is None:
            return None
        reader = asyncio.StreamReader(limit=_PIPE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    def write_input(self, data: bytes) -> None:
        """Write a little to the standard input of the process; do nothing if it is closed or no pipe."""
        if self._ours[0] is not None:
            with suppress(BrokenPipeError):
                os.write(self._ours[0], data)

    def close_input(self) -> None:
        """End the standard input of the process. Safe to repeat."""
        if self._ours[0] is not None:
            os.close(self._ours[0])
            self._ours[0] = None

    def close(self) -> None:
        """Close all our ends."""
        for fd in self._ours:
            if fd is not None:
                os.close(fd)
        self._ours = [None] * _STREAMS
        for transport in self._transports:
            transport.close()


class Process:
    """A process that runs, or has ended.

    Attributes:
        pid: in its own pid namespace.
        streams: its standard streams.
        ended: gets its exit status, negative for a signal.
        paused: whether it is stopped (SIGSTOP).
        pauses: how often it was.
    """

    def __init__(self, streams: Streams, send: Callable[[int], None]) -> None:
        self.pid = 0
        self.streams = streams
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.paused = False
        self.pauses = 0
        self._send = send

    def note_pause(self, *, paused: bool, counts: bool = True) -> None:
        """Record that the process was stopped, or continues; whether it `counts` among its `pauses`."""
        self.paused = paused
        self.pauses += paused and counts

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        """The exit status, once it has ended; see `returncode`."""
        return await asyncio.shield(self.ended)

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group; do nothing if it has ended."""
        if not self.ended.done():
            self._send(number)

    def kill(self) -> None:
        """Kill the process with its group; do nothing if it has ended."""
        self.signal(signal.SIGKILL)


def start_own(node: Node, argv: Sequence[str], stdio: Sequence[int] = (), term: str | None = None) -> Process:
    """Start a program of our own in a node's network and cgroups, otherwise in the agent's namespaces.

    Args:
        node: where.
        argv: the command.
        stdio: its streams; those that are missing are pipes.
        term: the kind of terminal that its first stream is, if it is one.

    Raises:
        UsageError: `command-not-found`, `command-refused`.
        LabError: `not-in-node`, the process could not enter the node.
    """

    def enter() -> None:
        # Runs between fork and exec: system calls and no more.
        namespaces.die_with_parent()
        for procs in node.cgroups:
            procs.write_text("0", "ascii")
        namespaces.setns(node.network, namespaces.NEWNET)
        if term is not None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = Streams(stdio)
    try:
        popen = subprocess.Popen(
            argv,
            stdin=streams.theirs[0],
            stdout=streams.theirs[1],
            stderr=streams.theirs[2],
            cwd="/",
            env=None if term is None else {**os.environ, "TERM": term},
            preexec_fn=enter,  # noqa: PLW1509  # there is one thread
            start_new_session=True,
        )
    except OSError as error:
        streams.close()
        raise _refused(node, error.errno or 0, str(error.filename)) from None
    except subprocess.SubprocessError as error:  # `enter` failed
        streams.close()
        raise LabError("not-in-node", f"could not start {argv[0]} in {node.name}: {error}") from None
    finally:
        streams.hand_over()
    popen.returncode = 0  # so that `subprocess` does not wait for it: `_reap` does
    process = Process(streams, lambda number: _send(popen.pid, number))
    process.pid = popen.pid
    _reap(process.pid, process.ended)
    return process


def _reap(pid: int, ended: asyncio.Future[int]) -> None:
    """Reap a child when it ends, and pass its exit status on."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)

    def reap() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        ended.set_result(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    loop.add_reader(pidfd, reap)


def _send(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _refused(node: Node, number: int, file: str) -> UsageError:
    """Return why a command could not be started, from the system's error and the file that it is about."""
    if file == node.directory:
        return UsageError(
            "no-directory",
            f"commands of node {node.name} start in {file}, its working_dir or the topology's directory: "
            f"{os.strerror(number)}",
            "bring it back or name another, take the lab down and bring it up again",
        )
    if number in (errno.ENOENT, errno.ENOTDIR):
        return UsageError("command-not-found", f"no such file or directory: {file}")
    if number == errno.EACCES and "/" not in file:  # execvp says so too where it may not look into a directory of PATH
        return UsageError("command-not-found", f"no {file} in PATH that may be run")
    if not number:  # it failed between fork and exec
        return UsageError("command-refused", f"the node's user or one of its ulimits was refused: {file}")
    return UsageError("command-refused", f"not allowed to run {file}: {os.strerror(number)}")


_Answer = node_init.Started | node_init.Refused | node_init.Signalled


class NodeProcesses:
    """The processes of a netns node: its first one (see `node_init`), and the commands which that starts.

    Attributes:
        is_held: the agent pauses them, so that their pauses do not count.
    """

    def __init__(self, node: Node) -> None:
        self.is_held = False
        self._node = node
        self._pid, self._control = node_init.fork(node)
        _log.debug("first process of node %s: pid %d", node.name, self._pid)
        self._control.setblocking(False)  # noqa: FBT003
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        _reap(self._pid, self._ended)
        self._turn = asyncio.Lock()
        self._number = 0
        self._answer: asyncio.Future[_Answer] | None = None
        self._running: dict[int, Process] = {}
        self._listening = asyncio.create_task(self._listen())

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
        command = node_init.Command(argv=tuple(argv), cwd=self._node.directory, environment=dict(environment), tty=tty)
        try:
            async with self._turn, asyncio.timeout(_ANSWER_SECONDS):
                self._number += 1
                number = self._number
                process = Process(streams, lambda sent: self._send(node_init.Signal(id=number, number=sent)))
                self._running[number] = process
                with os.fdopen(os.memfd_create("command"), "w", encoding="utf-8") as file:
                    json.dump(msgspec.to_builtins(command), file)  # msgspec's own refuses a PATH that is not UTF-8
                    file.flush()
                    answer = await self._ask(node_init.Start(id=number), file.fileno(), *streams.theirs)
        except (TimeoutError, ConnectionError) as error:
            streams.close()
            why = f"does not answer within {_ANSWER_SECONDS} s" if isinstance(error, TimeoutError) else "has ended"
            raise LabError(
                "not-in-node",
                f"could not start {argv[0]} in {self._node.name}: the node's first process {why}",
                "take the lab down and bring it up again; its agent.log may say why",
            ) from None
        finally:
            streams.hand_over()
        if isinstance(answer, node_init.Refused):
            del self._running[number]
            streams.close()
            raise _refused(self._node, answer.errno, answer.file)
        assert isinstance(answer, node_init.Started)  # noqa: S101  # what else a `Start` is answered with
        process.pid = answer.pid
        return process

    async def signal_all(self, number: int) -> None:
        """Send a signal to all processes of the node, in one step; those that end meanwhile start none any more.

        Raises:
            LabError: `not-in-node`, the node's first process has ended, or does not answer.
        """
        try:
            async with self._turn, asyncio.timeout(_ANSWER_SECONDS):
                await self._ask(node_init.SignalAll(id=0, number=number))
        except (TimeoutError, ConnectionError):
            message = f"could not signal the processes of {self._node.name}: the node's first process does not answer"
            raise LabError("not-in-node", message, "take the lab down and bring it up again") from None

    async def kill(self) -> None:
        """Kill all processes of the node, the first one too; the kernel does so in one step."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        await asyncio.shield(self._ended)
        await self._listening
        self._control.close()

    async def _ask(self, message: node_init.Start | node_init.SignalAll, *fds: int) -> _Answer:
        """Send the node's first process a message, and return its answer.

        Raises:
            ConnectionError: the node's first process has ended.
        """
        if self._listening.done():
            raise BrokenPipeError
        self._answer = asyncio.get_running_loop().create_future()
        self._send(message, *fds)
        return await self._answer

    def _send(self, message: node_init.Start | node_init.Signal | node_init.SignalAll, *fds: int) -> None:
        socket.send_fds(self._control, [msgspec.json.encode(message)], fds)

    async def _listen(self) -> None:
        """Handle the reports of the node's first process until it ends; the kernel then kills the node's others."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while data := await loop.sock_recv(self._control, node_init.MESSAGE_BYTES):
                match node_init.REPORTS.decode(data):
                    case node_init.Ended(id=number, status=status):
                        self._running.pop(number).ended.set_result(status)
                    case node_init.Paused(id=number, paused=paused):
                        self._running[number].note_pause(paused=paused, counts=not self.is_held)
                    case node_init.Started() | node_init.Refused() | node_init.Signalled() as answer:
                        if self._answer and not self._answer.done():
                            self._answer.set_result(answer)
        _log.debug("first process of node %s has ended", self._node.name)
        for process in self._running.values():
            process.ended.set_result(-signal.SIGKILL)
        self._running.clear()
        if self._answer and not self._answer.done():
            self._answer.set_exception(BrokenPipeError())
