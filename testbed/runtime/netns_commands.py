"""Runs commands in nodes that are network namespaces: with collected output, or attached to the caller's streams."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import LabError, UsageError
from testbed.runtime import Completed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.agent.client import Agent
    from testbed.agent.remote_process import RemoteProcess

_NOT_FOUND = 127  # what a shell says of a command that is not there
_TOLD_BY_SIGNAL = 128


def run(agent: Agent, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
    """See `testbed.runtime.Runtime.run`."""
    try:
        with os.fdopen(os.memfd_create("stdin"), "r+b") as file:  # not a pipe, which a thread would have to feed
            file.write(stdin)
            file.seek(0)
            process = agent.spawn(node, argv, stdio=[file.fileno()])
    except UsageError as error:
        return Completed(status=_NOT_FOUND, stdout="", stderr=error.message)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill_or_abandon()

    timer = threading.Timer(timeout, expire) if timeout is not None else None
    with process:
        if timer:
            timer.start()
        try:
            stdout = stderr = ""
            for stream, text in process.output():
                if stream == "stdout":
                    stdout += text
                else:
                    stderr += text
        except LabError:  # the command is gone, or its end is lost
            if not expired.is_set():
                raise
        finally:
            if timer:
                timer.cancel()
    if expired.is_set():
        raise LabError("command-timeout", f"{' '.join(argv)} in {node} did not end within {timeout:g} s and was killed")
    return Completed(status=_as_shell(process.wait()), stdout=stdout, stderr=stderr)


def start(agent: Agent, node: str, argv: Sequence[str]) -> NetnsProgram:
    """See `testbed.runtime.Runtime.start`."""
    with Path(os.devnull).open() as nothing:
        return NetnsProgram(agent.spawn(node, argv, stdio=[nothing.fileno()]))


def attach(agent: Agent, node: str, argv: Sequence[str], *, tty: bool) -> int:
    """See `testbed.runtime.Runtime.attach`.

    As root, tcpdump becomes another user before it captures. A user namespace of an ordinary user has no other: it
    fails, and we say how it does not.
    """
    status = _attach(agent, node, argv, tty=tty)
    if status and os.geteuid() and Path(argv[0]).name == "tcpdump" and "-Z" not in argv:
        sys.stderr.write("  hint: a lab of an ordinary user has no other users: tcpdump -Z root ...\n")
    return status


def _attach(agent: Agent, node: str, argv: Sequence[str], *, tty: bool) -> int:
    if tty:
        from testbed.runtime import terminal  # noqa: PLC0415  # no other command needs it

        with (
            terminal.Pty() as pty,
            agent.spawn(node, argv, stdio=[pty.slave] * 3, term=os.environ.get("TERM", "dumb")) as process,
        ):
            pty.run(process.wait)
            return _as_shell(process.wait())
    with agent.spawn(node, argv, stdio=[0, 1, 2]) as process:
        numbers = iter([signal.SIGINT])  # the second Ctrl-C kills it
        before = signal.signal(signal.SIGINT, lambda *_: process.signal(next(numbers, signal.SIGKILL)))
        try:
            return _as_shell(process.wait())
        finally:
            signal.signal(signal.SIGINT, before)


class NetnsProgram:
    """See `testbed.runtime.Program`."""

    def __init__(self, process: RemoteProcess) -> None:
        self._process = process

    @property
    def stderr(self) -> str:
        """Its standard error output so far."""
        return self._process.stderr

    def __iter__(self) -> Iterator[str]:
        return iter(self._process)

    def stop(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> int:
        """Wait until it ends, and return its exit status as a shell gives it."""
        return _as_shell(self._process.wait())


def _as_shell(status: int) -> int:
    """Return the exit status as a shell gives it: 128 plus the signal for a process that a signal ended."""
    return _TOLD_BY_SIGNAL - status if status < 0 else status
