"""The agent's side of a node's first process, whose part the test plays."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from testbed.agent import node_init, node_processes
from testbed.errors import LabError


class First:
    """The first process, as far as the agent sees: a process that only waits, and the messages that it gets."""

    def __init__(self, monkeypatch):
        self._process = subprocess.Popen(["sleep", "inf"])
        ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs.setblocking(False)  # noqa: FBT003
        monkeypatch.setattr(node_init, "fork", lambda _: (self._process.pid, ours))
        node: Any = SimpleNamespace(name="a", directory="/")
        self.node = node

    async def got(self):
        return json.loads(await asyncio.get_running_loop().sock_recv(self._theirs, 4096))

    def says(self, report):
        self._theirs.send(msgspec.json.encode(report))

    def dies(self):
        self._theirs.close()
        self._process.kill()

    async def end(self, processes):
        self._theirs.close()
        await processes.kill()
        self._process.returncode = 0  # that has reaped it


@pytest.fixture
def first(monkeypatch):
    return First(monkeypatch)


def test_a_command_that_starts_too_late_is_killed_and_taken_for_no_other(first, monkeypatch):
    monkeypatch.setattr(node_processes, "_ANSWER_SECONDS", 0.05)

    async def both():
        processes = node_processes.NodeProcesses(first.node)
        try:
            with pytest.raises(LabError, match="does not answer"):
                await processes.start(["late"], environment={})
            late = await first.got()
            monkeypatch.setattr(node_processes, "_ANSWER_SECONDS", 30)
            starting = asyncio.create_task(processes.start(["next"], environment={}))
            following = await first.got()
            first.says(node_init.CommandStarted(id=late["id"], pid=111))
            killed = await first.got()
            first.says(node_init.CommandStarted(id=following["id"], pid=222))
            process = await starting
            first.says(node_init.Ended(id=late["id"], status=-9))
            first.says(node_init.Ended(id=following["id"], status=3))
            return process.pid, await process.wait(), killed, late["id"]
        finally:
            await first.end(processes)

    pid, status, killed, late = asyncio.run(asyncio.wait_for(both(), 30))
    assert (pid, status) == (222, 3)
    assert killed == {"message": "Signal", "id": late, "number": signal.SIGKILL}


def test_reports_about_nothing_that_was_asked_are_ignored(first):
    async def reported():
        processes = node_processes.NodeProcesses(first.node)
        try:
            for report in (node_init.Ended(id=7, status=0), node_init.Paused(id=7, paused=True)):
                first.says(report)
            signalling = asyncio.create_task(processes.signal_all(signal.SIGSTOP))
            asked = await first.got()
            first.says(node_init.Refused(id=9, errno=2, file="x"))
            first.says(node_init.Signalled(id=asked["id"]))
            await signalling
        finally:
            await first.end(processes)

    asyncio.run(asyncio.wait_for(reported(), 30))


@pytest.mark.parametrize(
    ("reports", "reason"),
    [([node_init.FirstProcessFailed(id=0, reason="OSError: no space")], "OSError: no space"), ([], "status -9")],
)
def test_a_command_is_not_started_for_the_reason_that_the_first_process_ended(first, reports, reason):
    async def refusal():
        processes = node_processes.NodeProcesses(first.node)
        try:
            starting = asyncio.create_task(processes.start(["true"], environment={}))
            await first.got()
            for report in reports:
                first.says(report)
            first.dies()
            with pytest.raises(LabError) as caught:
                await starting
            with pytest.raises(LabError, match=reason):
                await processes.signal_all(signal.SIGSTOP)
            return caught.value.message
        finally:
            await first.end(processes)

    message = asyncio.run(asyncio.wait_for(refusal(), 30))
    assert message == f"could not start true in a: the node's first process has ended: {reason}"
