"""Commands of a timeline, with a lab that starts one only when the run is over."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import StringIO
from types import SimpleNamespace
from typing import Any

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


def test_a_command_that_starts_when_the_run_is_over_is_killed():
    starting, over = threading.Event(), threading.Event()

    def program(_node, _argv):
        starting.set()
        over.wait()
        return Endless()

    command = SimpleNamespace(node="a", argv=("sleep", "inf"), may_fail=False)
    plan = SimpleNamespace(timeline=[SimpleNamespace(at_ns=0, commands=[command])])
    lab: Any = SimpleNamespace(plan=plan, now_ns=lambda: 0, program=program)
    writer: Any = Writer()
    commands = EventCommands(lab, writer)
    commands._over = over
    with commands:
        commands.start(0)
        starting.wait()
    [record] = writer.records
    assert record.status is None
