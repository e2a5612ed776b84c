"""Processes that the agent starts: commands in nodes, and programs of our own in a node's network."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.errors import LabError, UsageError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.agent.nodes import NodeNamespaces

_STREAMS = 3
_PIPE_BYTES = 1 << 16


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


def start_own(node: NodeNamespaces, argv: Sequence[str], stdio: Sequence[int] = (), term: str | None = None) -> Process:
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
        raise refused(node, error.errno or 0, str(error.filename)) from None
    except subprocess.SubprocessError as error:  # `enter` failed
        streams.close()
        raise LabError("not-in-node", f"could not start {argv[0]} in {node.name}: {error}") from None
    finally:
        streams.hand_over()
    popen.returncode = 0  # so that `subprocess` does not wait for it: `reap` does
    process = Process(streams, lambda number: _send(popen.pid, number))
    process.pid = popen.pid
    reap(process.pid, process.ended)
    return process


def reap(pid: int, ended: asyncio.Future[int]) -> None:
    """Reap a child when it ends, and pass its exit status on."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)

    def take() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        ended.set_result(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    loop.add_reader(pidfd, take)


def _send(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def refused(node: NodeNamespaces, number: int, file: str) -> LabError | UsageError:
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
    if number == errno.EAGAIN:  # fork(2)
        message = f"node {node.name} has as many processes as its pids_limit, or ulimit nproc, lets it have"
        return LabError("too-many-processes", message, "raise that limit")
    if not number:  # it failed between fork and exec
        return UsageError("command-refused", f"the node's user or one of its ulimits was refused: {file}")
    return UsageError("command-refused", f"not allowed to run {file}: {os.strerror(number)}")
