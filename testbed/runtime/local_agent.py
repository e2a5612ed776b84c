"""Agents that are processes of this machine: starting, finding and ending them."""

from __future__ import annotations

import atexit
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from testbed import logs
from testbed.agent import journal, protocol
from testbed.agent.client import Agent
from testbed.errors import LabError, TestbedError, no_such_lab
from testbed.runtime import launching
from testbed.runtime.state import LabDirectory

if TYPE_CHECKING:
    from testbed.agent.journal import PutBack
    from testbed.agent.messages import AgentStatus

_log = logging.getLogger(__name__)

_START_SECONDS = 300
"""How long an agent that is alive may take to start: on a busy machine tens of seconds for its second of work. One that
has ended is noticed at once."""

_SAY_SECONDS = 10
_END_SECONDS = 10
_POLL_MS = 2

_started: dict[Path, subprocess.Popen[bytes]] = {}
"""The agents started here, by socket. Until its lab is up, an agent ends with its standard input, and so with us."""


@atexit.register
def _let_go() -> None:
    """Close our ends of the pipes. The agent of a lab that is up outlives us, of which Popen would warn."""
    for process in _started.values():
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        if process.poll() is None:
            process.returncode = 0


class Patience:
    """How long to wait for an agent that is alive; the log says when it takes long."""

    def __init__(self) -> None:
        self._begun = self._said = time.monotonic()

    def ends(self) -> bool:
        """Return whether the time is up; if not, log once in a while that we still wait."""
        now = time.monotonic()
        if now - self._said >= _SAY_SECONDS:
            _log.warning("the agent has been starting for %.0f s; this machine is busy", now - self._begun)
            self._said = now
        return now - self._begun > _START_SECONDS


def start(runtime: str, lab: str, *, isolate: bool, leads_out: bool = False, docker_engine: str = "") -> Agent:
    """Start the agent of a lab and wait until it answers.

    Args:
        runtime: whose lab it is.
        lab: its name.
        isolate: in namespaces of its own; else in the machine's, for which it must be root.
        leads_out: an isolated agent is to lead networks out of the lab.
        docker_engine: path of the Unix socket of the Docker Engine that the lab's containers are of.

    Raises:
        TestbedError: the one with which the agent ended.
        LabError: `agent-failed`, it ended or hung without saying why.
    """
    directory = LabDirectory(runtime, lab)
    directory.make()
    arguments = ["--name", directory.agent_name, "--log", str(directory.log)]
    arguments += ["--lab", lab, "--socket", str(directory.socket), "--lifeline", *["--isolate"] * isolate]
    arguments += ["--journal", str(directory.journal)] * (leads_out or not isolate) + ["--debug"] * logs.debugging()
    begun = time.monotonic()
    arguments += ["--docker-engine", docker_engine] * bool(docker_engine)
    process = launching.launched()
    _started[directory.socket] = process
    patience = Patience()
    if (said := _first_line(process, patience)) != protocol.READY:
        stop(runtime, lab)
        raise _why(said)
    with suppress(BrokenPipeError):  # it has ended, which the wait for its socket notices
        _lifeline(process).write(protocol.line_of(arguments))
        _lifeline(process).flush()
    poll = select.poll()
    poll.register(_lifeline(process), 0)  # tells when no agent holds the other end any more
    while not directory.socket.exists():
        if poll.poll(_POLL_MS) or patience.ends():
            stop(runtime, lab)
            raise _why(directory.log.read_bytes() if directory.log.exists() else b"")
    if isolate:
        process.wait()  # it has left the work to a child in the new namespaces
    _log.info("agent of lab %s answers after %.3f s, and logs to %s", lab, time.monotonic() - begun, directory.log)
    return Agent.at(directory.socket)


def connect(runtime: str, lab: str, within_s: float | None = None) -> Agent:
    """Return a connection to the agent of a lab that is up.

    Args:
        runtime: its name.
        lab: its name.
        within_s: how long the agent may be silent, see `Agent.hello`.

    Raises:
        UsageError: `no-such-lab`.
        LabError: `agent-gone` where there is a lab but its agent does not answer.
    """
    agent = _agent(runtime, lab)
    agent.hello(within_s)
    return agent


def status(runtime: str, lab: str) -> AgentStatus:
    """Return what the agent of a lab that is up says of it.

    Raises:
        UsageError, LabError: see `connect`.
    """
    return _agent(runtime, lab).hello()


def _agent(runtime: str, lab: str) -> Agent:
    directory = LabDirectory(runtime, lab)
    if not directory.path.exists():
        raise no_such_lab(lab)
    return Agent.at(directory.socket)


def stop(runtime: str, lab: str) -> bool:
    """End the agent of a lab and all of its processes, whatever their state; return False if there was none."""
    directory = LabDirectory(runtime, lab)
    watched = [pidfd for pid in _pids(directory.agent_name) if (pidfd := _pidfd(pid)) is not None]
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
    if process := _started.pop(directory.socket, None):
        launching.end(process)
    _log.debug("ended %d processes of the agent of lab %s", len(watched), lab)
    return bool(watched)


def sweep(runtime: str, lab: str) -> None:
    """Put back what a killed agent changed, and remove its devices in the machine's own network namespace (as root).

    Raises:
        LabError: `not-removed`.
    """
    command = [sys.executable, "-m", "testbed.agent", "--lab", lab, "--sweep"]
    if (book := LabDirectory(runtime, lab).journal).exists():
        command += ["--journal", str(book)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise LabError("not-removed", f"the devices of lab {lab} could not be removed: {done.stderr.strip()}")


def aftermath(runtime: str, lab: str) -> PutBack | None:
    """Return what was put back after the agent of a lab was killed; None where nothing was, so far."""
    with suppress(OSError):
        return journal.outcome(journal.read(LabDirectory(runtime, lab).journal.read_bytes()))
    return None


def _first_line(process: subprocess.Popen[bytes], patience: Patience) -> bytes:
    """Return an agent's first line, which says that it is ready; if it can't start, its whole output."""
    assert process.stdout  # noqa: S101  # a pipe was asked for
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    while not poll.poll(1000):
        if patience.ends():
            return b""
    line = process.stdout.readline()
    return line if line == protocol.READY else line + process.stdout.read()


def _lifeline(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin  # noqa: S101  # a pipe was asked for
    return process.stdin


def _pids(name: str) -> list[int]:
    """Return the pids of an agent and its init process, found by their name."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                called = (entry / "comm").read_bytes() == name.encode() + b"\n"
                if called and b"testbed.agent" in (entry / "cmdline").read_bytes():  # a zombie has no command line
                    pids.append(int(entry.name))
    return pids


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _why(said: bytes) -> TestbedError:
    """Return the error with which an agent ended, from its output."""
    lines = said.splitlines()
    if lines:
        with suppress(ValueError):
            if error := protocol.error_of(protocol.decode(lines[-1])):
                return error
    last = lines[-1].decode(errors="replace") if lines else "nothing"
    return LabError("agent-failed", f"the agent did not start; it said: {last}", "this is a bug: please report it")
