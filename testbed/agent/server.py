"""The agent's listener: connections, calls, and the processes that run on behalf of a connection."""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
import os
import socket
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from testbed import logs
from testbed.agent import processes, protocol, sockets, timeline
from testbed.agent.connection import Connection
from testbed.agent.tasks import cancelled
from testbed.errors import LabError, TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from testbed.agent.attachments import Attachments
    from testbed.agent.links import Links
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

_FREQUENT = ("accepts", "attachments", "statistics", "sockets")
"""Calls that come many times a second; they are logged where everything is."""

_CHUNK = 1 << 16
_LOCAL_CONNECT_SECONDS = 0.2
_BY_SIGNAL = 128
_AFTERWARDS_SECONDS = 1
"""After which what a process wrote counts as whole once it has ended; what it wrote itself is there at once."""

_ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories of programs for root, as who the commands of nodes run, whoever has brought the lab up."""


class Server:
    """All calls of the protocol, over the state of one lab."""

    def __init__(
        self, lab: str, wiring: Wiring, links: Links, attachments: Attachments, directory: Path, *, isolated: bool
    ) -> None:
        self._lab = lab
        self._wiring = wiring
        self._links = links
        self._attachments = attachments
        self._directory = directory
        self._isolated = isolated
        self._plan: dict[str, Any] | None = None
        self._commands: dict[str, processes.Process] = {}
        self._processes: dict[str, processes.NodeProcesses] = {}
        self._owners: dict[str, dict[int, sockets.Owner]] = {}
        self._environment = _environment()
        self._exclusive = asyncio.Lock()
        self.ended = asyncio.Event()
        self._calls: dict[str, Callable[..., Awaitable[object]]] = {
            "hello": self._hello,
            "clock": self._clock,
            "create": self._create,
            "adopt": self._adopt,
            "launch": self._launch,
            "accepts": self._accepts,
            "attachments": self._attachments.report,
            "impairments": self._impairments,
            "restart": self._restart,
            "statistics": self._statistics,
            "sockets": self._sockets,
            "remember": self._remember,
            "shutdown": self._shutdown,
        }

    @property
    def is_up(self) -> bool:
        """Whether the lab has been brought up completely, so that it outlives the command that makes it."""
        return self._plan is not None

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until the agent is to end."""
        loop = asyncio.get_running_loop()
        tasks = set()
        while True:
            channel, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._attend(Connection(channel)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _attend(self, connection: Connection) -> None:
        try:
            while message := await connection.receive():
                name, arguments = message["call"], message["with"]
                try:
                    if name in ("spawn", "endpoint", "capture"):
                        await self._run(connection, name, arguments)
                        return
                    if name == "timeline":
                        await timeline.carry_out(connection, **arguments, change=self._change)
                        await connection.send({"result": None})
                        return
                    await connection.send({"result": await self._call(name, arguments)})
                except TestbedError as error:
                    await connection.send({"error": protocol.error_to_json(error)})
                except Exception as error:  # noqa: BLE001  # whoever asked must hear of it, whatever it is
                    traceback.print_exc()
                    failed = LabError("agent-failed", f"{name}: {error!r}", "the lab's agent.log says where")
                    await connection.send({"error": protocol.error_to_json(failed)})
        finally:
            connection.close()

    async def _call(self, name: str, arguments: dict[str, Any]) -> object:
        if name not in self._calls:
            raise LabError("unknown-call", f"this agent knows no call {name!r}", "it is of another version")
        if name in ("hello", "clock"):  # are asked of an agent that may be busy, or stuck
            return await self._calls[name]()
        async with self._exclusive:
            with logs.timed(_log, name, level=logging.DEBUG if name in _FREQUENT else logging.INFO):
                return await self._calls[name](**arguments)

    async def _hello(self) -> dict[str, Any]:
        """Who answers, and what it holds."""
        return {
            "version": protocol.VERSION,
            "lab": self._lab,
            "pid": os.getpid(),
            "plan": self._plan,
            "dead_links": self._links.dead(),
            "nodes": {name: _state(self._commands.get(name)) for name in self._wiring.nodes},
            "pauses": {name: command.pauses for name, command in self._commands.items()},
        }

    async def _clock(self) -> int:
        """The time of this machine's monotonic clock, ns."""
        return time.monotonic_ns()

    async def _create(self, networks: Sequence[dict[str, Any]], nodes: Sequence[dict[str, Any]]) -> None:
        await self._wiring.create(networks, nodes, self._directory / "hosts")

    async def _adopt(self, nodes: Sequence[dict[str, Any]]) -> None:
        await self._wiring.adopt(nodes)

    async def _launch(self, node: str, argv: Sequence[str]) -> None:
        """Start a node's own command, which runs as long as the lab; its output goes to a file of the lab."""
        log = os.open(self._directory / f"{node}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            self._commands[node] = await self._start(node, argv, stdio=(null, log, log))
        finally:
            os.close(log)
            os.close(null)

    async def _accepts(self, node: str, address: str, port: int) -> bool:
        """Whether a TCP port of a node accepts connections, tried from inside the node."""
        with namespaces.inside(self._wiring.node(node).network), socket.socket() as probe:
            probe.settimeout(_LOCAL_CONNECT_SECONDS)
            return probe.connect_ex((address, port)) == 0

    async def _impairments(self, links: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
        impaired = await self._links.impairments(links)
        if self.is_up:
            self._attachments.look()  # a network may have its first link now
        return impaired

    async def _change(self, changes: Sequence[dict[str, Any]]) -> tuple[int, int]:
        """Change impaired links; when that began and when it was done, ns."""
        async with self._exclusive:
            begun_ns = time.monotonic_ns()
            await self._links.change(changes)
            return begun_ns, time.monotonic_ns()

    async def _restart(self) -> None:
        await self._links.restart()

    async def _statistics(self) -> list[dict[str, Any]]:
        return await self._links.statistics()

    async def _sockets(self, nodes: Sequence[str]) -> dict[str, Any]:
        """The TCP connections of nodes, by node; see `sockets.connections`."""
        return {
            node: sockets.connections(self._wiring.node(node).network, self._owners.setdefault(node, {}))
            for node in nodes
        }

    async def _remember(self, plan: dict[str, Any]) -> None:
        """Keep the plan for later commands. The lab is up: it no longer ends with the command that made it."""
        self._plan = plan
        self._attachments.begin()

    async def _shutdown(self) -> None:
        """End the agent, and with it everything that it holds."""
        self.ended.set()

    async def _start(
        self, node: str, argv: Sequence[str], *, stdio: Sequence[int] = (), term: str | None = None
    ) -> processes.Process:
        """Start a command in a node; with `term`, the kind of terminal that its first stream is."""
        found = self._wiring.node(node)
        if not self._isolated:  # a container: its runtime starts the commands, but for those that end them
            return processes.start_own(found, argv, stdio)
        if node not in self._processes:
            self._processes[node] = processes.NodeProcesses(found)
        environment = self._environment | ({} if term is None else {"TERM": term}) | dict(found.environment)
        return await self._processes[node].start(argv, environment=environment, stdio=stdio, tty=term is not None)

    def _capture(self, node: str, network: str, **limits: int) -> processes.Process:
        """Start a capture at a port. What it costs is not held against the node."""
        spec = {"interface": self._wiring.port(node, network).interface, **limits}
        argv = [sys.executable, "-m", "testbed.agent.capture", json.dumps(spec)]
        return processes.start_own(replace(self._wiring.node(node), cgroups=()), argv)

    async def _run(self, connection: Connection, call: str, arguments: dict[str, Any]) -> None:
        fds = connection.take_fds()
        try:
            if call == "endpoint":
                argv = [sys.executable, "-m", "testbed.endpoint", protocol.encode(arguments["spec"]).decode().strip()]
                process = processes.start_own(self._wiring.node(arguments["node"]), argv)
            elif call == "capture":
                process = self._capture(**arguments)
            else:
                process = await self._start(**arguments, stdio=fds)
        finally:
            for fd in fds:
                os.close(fd)
        _log.debug("%s in %s: pid %d", call, arguments["node"], process.pid)
        listening = asyncio.create_task(_obey(connection, process))
        try:
            await connection.send({"event": {"pid": process.pid}})
            ended = asyncio.create_task(process.wait())
            await asyncio.gather(
                _forward(await process.streams.reader(1), "stdout", connection, ended),
                _forward(await process.streams.reader(2), "stderr", connection, ended),
            )
            await connection.send({"result": {"status": await ended}})
        finally:
            process.kill()
            await cancelled(listening)
            process.streams.close()


def _state(command: processes.Process | None) -> str:
    """The state of a node in a word, from its own command; the exit status is as a shell gives it."""
    if command is None or command.returncode is None:
        return "paused" if command and command.paused else "running"
    status = command.returncode
    return f"exited {status if status >= 0 else _BY_SIGNAL - status}"


def _environment() -> dict[str, str]:
    """The variables that all commands of nodes have, of which the file may change any.

    Where programs and the user's files are depends on the machine, so it is as whoever brought the lab up has it;
    nothing else of theirs is passed on.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {
        "PATH": os.pathsep.join([*path, *(each for each in _ADMINISTRATION if each not in path)]),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
    }


async def _forward(
    stream: asyncio.StreamReader | None, name: str, connection: Connection, ended: asyncio.Task[int]
) -> None:
    """Pass on what a process writes, until it closes the stream.

    Once the process has ended, other processes that it has left behind may hold the stream: they are passed on as long
    as they write.
    """
    if stream is None:
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        reading = asyncio.create_task(stream.read(_CHUNK))
        await asyncio.wait([reading, ended], return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait([reading], timeout=_AFTERWARDS_SECONDS)
        if not reading.done():
            await cancelled(reading)
            return
        if not (data := reading.result()):
            return
        await connection.send({"event": {name: decoder.decode(data)}})


async def _obey(connection: Connection, process: processes.Process) -> None:
    """Carry out what a client tells a running process; kill it when the client goes away."""
    while message := await connection.receive():
        tell = message["tell"]
        if "start_ns" in tell:
            process.streams.write_input(protocol.encode({"start_ns": tell["start_ns"]}))
        if "eof" in tell:
            process.streams.close_input()
        if "signal" in tell:
            process.signal(tell["signal"])
    process.kill()
