"""Commands of a timeline, with a lab that starts one only when the run is over."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from testbed import runs
from testbed.lab import event_commands
from testbed.lab.event_commands import EventCommands


class Endless:
    """A program that runs until it is killed."""

    stderr = ""

    def __init__(self):
        self._killed = threading.Event()

    def __iter__(self):
        self._killed.wait()
        return iter(())

    def kill(self):
        self._killed.set()

    def wait(self):
        return -9


class Writer:
    """The part of a run's writer that records commands."""

    def __init__(self):
        self.records = []

    @contextmanager
    def command_output(self, _number, _node):
        yield "output", StringIO()

    def ran(self, record):
        self.records.append(record)


def of(program, *, may_fail=False):
    """The commands of a timeline that has one, which `program` starts; and the run's writer."""
    command = SimpleNamespace(node="a", argv=("sleep", "inf"), may_fail=may_fail)
    plan = SimpleNamespace(timeline=[SimpleNamespace(at_ns=0, commands=[command])])
    lab: Any = SimpleNamespace(plan=plan, now_ns=lambda: 0, program=program)
    writer: Any = Writer()
    return EventCommands(lab, writer), writer


def carry_out(commands, failure=None):
    """Have all commands started and ended, and then the run, perhaps with a failure of its own."""
    with commands:
        commands.start(0)
        for thread in commands._threads:
            thread.join()
        if failure:
            raise failure


def test_a_command_that_starts_when_the_run_is_over_is_killed():
    starting, over = threading.Event(), threading.Event()

    def program(_node, _argv):
        starting.set()
        over.wait()
        return Endless()

    commands, writer = of(program)
    commands._over = over
    with commands:
        commands.start(0)
        starting.wait()
    [record] = writer.records
    assert record.status is None


def test_a_command_that_can_not_be_killed_is_recorded_once_as_unfinished(monkeypatch):
    monkeypatch.setattr(event_commands, "_END_S", 0.05)
    starting, released = threading.Event(), threading.Event()

    def program(_node, _argv):
        starting.set()
        released.wait()
        return Endless()

    commands, writer = of(program)
    with commands:
        commands.start(0)
        starting.wait()
    assert [(record.status, record.output) for record in writer.records] == [(None, "output")]
    (reason,) = runs.failed_commands(writer.records)
    assert reason == "a: sleep inf, at 0 ns, had not ended when the workloads had"
    released.set()
    for thread in commands._threads:
        thread.join()
    assert len(writer.records) == 1


def test_a_command_whose_output_can_not_be_written_is_recorded_and_fails_the_run():
    """As on a full disk."""

    def program(_node, _argv):
        raise OSError(28, "No space left on device")

    commands, writer = of(program, may_fail=True)
    with pytest.raises(OSError, match="No space left"):
        carry_out(commands)
    [record] = writer.records
    assert record.status is None
    assert record.error == "OSError: [Errno 28] No space left on device"


def test_a_failure_of_the_workloads_is_not_hidden_by_that_of_a_command():
    def program(_node, _argv):
        raise OSError(28, "No space left on device")

    commands, _ = of(program)
    with pytest.raises(ValueError, match="of the workloads"):
        carry_out(commands, ValueError("of the workloads"))
