"""Starts the commands of a run's timeline in nodes, and keeps what they write."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from testbed.errors import TestbedError
from testbed.runs import CommandRecord

if TYPE_CHECKING:
    from testbed.lab.connected import ConnectedLab
    from testbed.plan.events import CommandStart
    from testbed.runs import RunWriter
    from testbed.runtime import Program

_log = logging.getLogger(__name__)

_END_S = 10.0
"""Time limit for commands that were killed to end."""


@dataclass(slots=True)
class _Started:
    """A command whose time has come, and what is known of it so far; `is_recorded` when the run has its record."""

    command: CommandStart
    at_ns: int
    due_ns: int
    begun_ns: int
    output: str = ""
    is_recorded: bool = False


class EventCommands:
    """A context in which the commands of a plan's timeline are started at their times. At its end it kills the rest.

    Each command that was started has a record in the run then, also one that could not be killed.

    Args:
        lab: with the plan and the nodes.
        writer: of the run.
    """

    def __init__(self, lab: ConnectedLab, writer: RunWriter) -> None:
        self._lab = lab
        self._writer = writer
        self._over = threading.Event()
        self._recording = threading.Lock()
        self._programs: list[Program] = []
        self._threads: list[threading.Thread] = []
        self._started: list[_Started] = []
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def start(self, start_ns: int) -> None:
        """Set time zero, by the nodes' clock. Call it once, from any thread."""
        commands = [(event.at_ns, command) for event in self._lab.plan.timeline for command in event.commands]
        for number, (at_ns, command) in enumerate(commands, 1):
            thread = threading.Thread(target=self._run, args=(number, start_ns, at_ns, command), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, number: int, start_ns: int, at_ns: int, command: CommandStart) -> None:
        due_ns, status, error = start_ns + at_ns, None, ""
        if self._over.wait(max(0, due_ns - self._lab.now_ns()) / 1e9):
            return  # the timeline was cut short, which is an error of its own
        started = _Started(command, at_ns, due_ns, begun_ns=self._lab.now_ns())
        self._started.append(started)
        try:
            ended = self._carry_out(number, started)
            status = None if self._over.is_set() else ended
        except TestbedError as failure:
            error = "" if self._over.is_set() else failure.message
        except BaseException as failure:  # noqa: BLE001  # `__exit__` raises it
            self._failure = failure
            error = f"{type(failure).__name__}: {failure}"
        self._record(started, status, error)

    def _carry_out(self, number: int, started: _Started) -> int:
        """Run a command, write down what it writes, and return its exit status."""
        with self._writer.command_output(number, started.command.node) as (started.output, file):
            program = self._lab.program(started.command.node, started.command.argv)
            self._programs.append(program)
            if self._over.is_set():  # `__exit__` may have looked for programs before this one was among them
                program.kill()
            for line in program:
                file.write(f"{line}\n")
            ended = program.wait()
            file.write(program.stderr)
            return ended

    def _record(self, started: _Started, status: int | None, error: str) -> None:
        """Add a command to the run, once."""
        with self._recording:
            if started.is_recorded:
                return
            started.is_recorded = True
            command = started.command
            self._writer.ran(
                CommandRecord(
                    at_ns=started.at_ns,
                    node=command.node,
                    argv=command.argv,
                    may_fail=command.may_fail,
                    due_ns=started.due_ns,
                    begun_ns=started.begun_ns,
                    done_ns=self._lab.now_ns(),
                    status=status,
                    output=started.output,
                    error=error,
                )
            )

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        for program in self._programs:
            with suppress(TestbedError):  # the agent has gone: what has ended the run says so
                program.kill()
        deadline = time.monotonic() + _END_S
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        for started in self._started:
            if not started.is_recorded:
                _log.warning("%s: %s did not end when it was killed", started.command.node, started.command.argv)
                self._record(started, None, "")
        if kind is None and self._failure is not None:
            raise self._failure
