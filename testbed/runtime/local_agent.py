"""Agents that are processes of this machine: started, found by their socket, and ended for certain."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from testbed.agent import protocol
from testbed.agent.client import Agent
from testbed.errors import LabError, TestbedError
from testbed.runtime.state import LabDirectory

_START_SECONDS = 30
_END_SECONDS = 10
_POLL_MS = 2

_started: dict[Path, subprocess.Popen[bytes]] = {}
"""The agents started here, by socket. Until its lab is up, an agent ends with its standard input, and so with us."""


def start(runtime: str, lab: str, *, isolate: bool) -> Agent:
    """Start the agent of a lab and wait until it answers.

    Args:
        runtime: whose lab it is.
        lab: its name.
        isolate: in namespaces of its own; else in the machine's, for which it must be root.

    Raises:
        TestbedError: the one with which the agent ended.
        LabError: `agent-failed`, it ended or hung without saying why.
    """
    directory = LabDirectory(runtime, lab)
    directory.make()
    command = [sys.executable, "-m", "testbed.agent", "--lab", lab, "--socket", str(directory.socket), "--lifeline"]
    with directory.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--isolate"] if isolate else command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    _started[directory.socket] = process
    poll = select.poll()
    poll.register(_lifeline(process), 0)  # tells when no agent holds the other end any more
    deadline = time.monotonic() + _START_SECONDS
    while not directory.socket.exists():
        if poll.poll(_POLL_MS) or time.monotonic() > deadline:
            stop(runtime, lab)
            raise _why(directory.log)
    if isolate:
        process.wait()  # it has left the work to a child in the new namespaces
    return Agent.at(directory.socket)


def connect(runtime: str, lab: str) -> Agent:
    """The agent of a lab that is up.

    Raises:
        LabError: `no-such-lab`; `agent-gone` where there is a lab but its agent does not answer.
    """
    directory = LabDirectory(runtime, lab)
    if not directory.path.exists():
        raise LabError("no-such-lab", f"no lab {lab!r} is up", "testbed ps lists them; testbed up FILE brings one up")
    agent = Agent.at(directory.socket)
    agent.hello()
    return agent


def stop(runtime: str, lab: str) -> bool:
    """End the agent of a lab and all processes that are its own, whatever state they are in; False where none was."""
    path = LabDirectory(runtime, lab).socket
    watched = [pidfd for pid in _pids(path) if (pidfd := _pidfd(pid)) is not None]
    for pidfd in watched:
        for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped hears of nothing but SIGCONT
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
    deadline = time.monotonic() + _END_SECONDS
    for pidfd in watched:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poll.poll(_END_SECONDS * 1000)
        os.close(pidfd)
    if process := _started.pop(path, None):
        _lifeline(process).close()
        process.wait()
    return bool(watched)


def sweep(lab: str) -> None:
    """Remove the devices that a killed agent of a lab left in the machine's own network namespace (as root).

    Raises:
        LabError: `not-removed`.
    """
    command = [sys.executable, "-m", "testbed.agent", "--lab", lab, "--sweep"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise LabError("not-removed", f"the devices of lab {lab} could not be removed: {done.stderr.strip()}")


def _lifeline(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin  # noqa: S101  # a pipe was asked for
    return process.stdin


def _pids(path: Path) -> list[int]:
    """The processes started as the agent that listens at `path`, its init included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if b"testbed.agent" in argv and os.fsencode(path) in argv:
                    found.append(int(entry.name))
    return found


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _why(log: Path) -> TestbedError:
    """What the agent wrote last."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    if lines:
        with suppress(ValueError, KeyError):
            return protocol.error_from_json(protocol.decode(lines[-1])["error"])
    last = lines[-1].decode(errors="replace") if lines else f"nothing within {_START_SECONDS} s"
    return LabError("agent-failed", f"the agent did not start; it said: {last}", "this is a bug: please report it")
