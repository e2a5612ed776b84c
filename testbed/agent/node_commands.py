"""Starts processes in nodes: the nodes' own commands, and what clients ask for and stay connected to."""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import signal
import sys
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from testbed.agent import messages, node_logs, processes, protocol
from testbed.agent.node_processes import NodeProcesses
from testbed.agent.tasks import cancelled
from testbed.errors import LabError
from testbed.names import INTERNET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testbed.agent.connection import ServerConnection
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

_ProcessCall = messages.Spawn | messages.StartEndpoint | messages.Capture

PROCESS_CALLS: dict[str, type[_ProcessCall]] = {kind.call_name(): kind for kind in get_args(_ProcessCall)}
"""By name, the calls that last as long as a process."""

_CHUNK = 1 << 16
_STOPPING_SECONDS = 10
"""In which a program ends after its stop signal, as Docker Compose's `stop_grace_period`."""
_BY_SIGNAL = 128
_AFTERWARDS_SECONDS = 1
"""After which what a process wrote counts as whole once it has ended; what it wrote itself is there at once."""

_ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories of programs for root: the commands of nodes run as root, also in an ordinary user's lab."""


class NodeCommands:
    """The processes that the agent has started in the nodes of a lab.

    Args:
        wiring: the nodes.
        directory: of the lab, for the output of the nodes' own commands.
        isolated: the agent has namespaces of its own, so it starts the commands; else a container runtime does.
    """

    def __init__(self, wiring: Wiring, directory: Path, *, isolated: bool) -> None:
        self._wiring = wiring
        self._directory = directory
        self._isolated = isolated
        self._own: dict[str, processes.Process] = {}
        self._processes: dict[str, NodeProcesses] = {}
        self._launched: dict[str, messages.Launch] = {}
        self._endpoints: defaultdict[str, set[processes.Process]] = defaultdict(set)
        self._going_on: dict[str, asyncio.Event] = {}
        self._off: set[str] = set()
        self._limits: dict[str, tuple[Path, ...]] = {}
        self._environment = _environment()
        self._logs: set[Path] = set()
        self._keeping_short: asyncio.Task[None] | None = None

    def state(self, node: str) -> str:
        """Return the state of a node by its own command; an exit status is like a shell's."""
        command = self._own.get(node)
        if command is None or command.returncode is None:
            return "paused" if command and command.paused else "running"
        status = command.returncode
        return f"exited {status if status >= 0 else _BY_SIGNAL - status}"

    def pauses(self) -> dict[str, int]:
        """Return how often the own command of each node has been paused."""
        return {name: command.pauses for name, command in self._own.items()}

    def limit(self, node: str, groups: tuple[Path, ...]) -> None:
        """Start all further processes of a node in these cgroups, given by their `cgroup.procs`."""
        self._limits[node] = groups

    def pids(self, node: str) -> Iterator[int]:
        """Yield the numbers of the processes of a node that has a pid namespace, and of endpoints in it."""
        yield from (endpoint.pid for endpoint in self._endpoints[node])
        if found := self._processes.get(node):
            yield from found.pids()

    def _first_process(self, node: str) -> NodeProcesses:
        """Return the processes of a node, the first of which is started if there is none."""
        if node not in self._processes:
            self._processes[node] = NodeProcesses(self._wiring.node(node))
            for procs in self._limits.get(node, ()):
                procs.write_text(str(self._processes[node].pid), "ascii")
        return self._processes[node]

    async def first_process(self, node: str) -> int:
        """Return the number of the first process of a node, which has all of its files.

        Raises:
            LabError: `not-in-node`.
        """
        found = self._first_process(node)
        await found.signal_all(0)  # which it answers when it has
        return found.pid

    async def launch(self, call: messages.Launch) -> None:
        """Start a node's own command, which runs as long as the lab; its output goes to a file of the lab."""
        path = node_logs.path_of(self._directory, call.node)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._logs.add(path)
        self._keeping_short = self._keeping_short or asyncio.create_task(node_logs.keep_short(self._logs))
        null = os.open(os.devnull, os.O_RDONLY)
        if user := self._wiring.node(call.node).surroundings.user:
            os.fchown(log, user[0], -1)  # as Docker does, so that the program may open /dev/stdout
        self._launched[call.node] = call
        try:
            self._own[call.node] = await self._start(call.node, call.argv, stdio=(null, log, log))
        finally:
            os.close(log)
            os.close(null)

    async def stop(self, call: messages.StopCommands) -> None:
        """Send the own commands of nodes a signal each, and wait up to ten seconds until they have ended."""
        commands = {node: self._own[node] for node in call.signals if node in self._own}
        for node, command in commands.items():
            command.signal(call.signals[node])
        ends = [asyncio.ensure_future(command.wait()) for command in commands.values()]
        if ends:
            await asyncio.wait(ends, timeout=_STOPPING_SECONDS)

    async def pause(self, node: str) -> None:
        """Pause all that the agent has started in a node; processes that are to start there wait until `unpause`.

        Raises:
            LabError: `not-in-node`.
        """
        self._going_on[node] = asyncio.Event()
        for endpoint in self._endpoints[node]:
            endpoint.signal(signal.SIGSTOP)
        if found := self._processes.get(node):
            found.is_held = True
            await found.signal_all(signal.SIGSTOP)

    async def unpause(self, node: str) -> None:
        """End `pause`.

        Raises:
            LabError: `not-in-node`.
        """
        if found := self._processes.get(node):
            await found.signal_all(signal.SIGCONT)
            found.is_held = False
        for endpoint in self._endpoints[node]:
            endpoint.signal(signal.SIGCONT)
        if waiting := self._going_on.pop(node, None):
            waiting.set()

    def signal(self, node: str, number: int) -> None:
        """Send a signal to a node's own command; do nothing if it has none, or it has ended."""
        if own := self._own.get(node):
            own.signal(number)

    async def ask_to_end(self, node: str) -> None:
        """Send a node's own command its stop signal, and wait up to ten seconds until it has ended."""
        if own := self._own.get(node):
            own.signal(self._launched[node].stop_signal)
            await asyncio.wait([asyncio.ensure_future(own.wait())], timeout=_STOPPING_SECONDS)

    async def kill_all(self, node: str) -> None:
        """Kill all that the agent has started in a node; nothing more starts there until `launch_again`."""
        self._off.add(node)
        for endpoint in self._endpoints[node]:
            endpoint.kill()
        if found := self._processes.pop(node, None):
            await found.kill()
        if waiting := self._going_on.pop(node, None):
            waiting.set()

    async def launch_again(self, node: str) -> None:
        """Start a node's own command again, if it has one.

        Raises:
            UsageError, LabError: as `launch`.
        """
        self._off.discard(node)
        if call := self._launched.get(node):
            await self.launch(call)

    async def carry_out(self, connection: ServerConnection, call: _ProcessCall) -> None:
        """Start the process that a call asks for, and serve its client until it has ended or the client has gone."""
        fds = connection.take_fds()
        try:
            process = await self._start_for(call, fds)
        finally:
            for fd in fds:
                os.close(fd)
        _log.debug("%s in %s: pid %d", call.call_name(), call.node, process.pid)
        listening = asyncio.create_task(_obey(connection, process))
        try:
            await connection.send_event(messages.ProcessEvent(pid=process.pid))
            ended = asyncio.create_task(process.wait())
            await asyncio.gather(
                _forward(await process.streams.reader(1), "stdout", connection, ended),
                _forward(await process.streams.reader(2), "stderr", connection, ended),
            )
            status = await ended
            _log.debug("%s in %s: pid %d ended with status %d", call.call_name(), call.node, process.pid, status)
            await connection.send_result(messages.Exit(status=status))
        finally:
            process.kill()
            await cancelled(listening)
            process.streams.close()

    async def _start(
        self, node: str, argv: Sequence[str], *, stdio: Sequence[int] = (), term: str | None = None
    ) -> processes.Process:
        """Start a command in a node; with `term`, the kind of terminal that its first stream is."""
        found = self._wiring.node(node)
        if not self._isolated:  # a container: its runtime starts the commands, but for those that end them
            return processes.start_own(found, argv, stdio, term)
        first = self._first_process(node)
        environment = self._environment | ({} if term is None else {"TERM": term}) | dict(found.environment)
        process = await first.start(argv, environment=environment, stdio=stdio, tty=term is not None)
        if node in self._going_on:  # it has been paused meanwhile
            process.signal(signal.SIGSTOP)
        return process

    async def _start_for(self, call: _ProcessCall, stdio: Sequence[int]) -> processes.Process:
        """Start the process that a call asks for; in a paused node when that goes on.

        Raises:
            LabError: `node-stopped`, a fault has switched the node off; others as of `processes`.
        """
        if not isinstance(call, messages.Capture):
            await self._wait_until_on(call.node)
        node = self._wiring.node(call.node)
        match call:
            case messages.StartEndpoint():
                if call.node == INTERNET:
                    self._wiring.meet_beyond()
                argv = [sys.executable, "-m", "testbed.endpoint", call.spec.to_json()]
                limited = replace(node, cgroups=(*node.cgroups, *self._limits.get(call.node, ())))
                endpoint = processes.start_own(limited, argv)
                self._endpoints[call.node].add(endpoint)
                endpoint.ended.add_done_callback(lambda _: self._endpoints[call.node].discard(endpoint))
                return endpoint
            case messages.Capture():  # what it costs is not held against the node
                spec = protocol.line_of(
                    messages.CaptureSpec(
                        interface=self._wiring.port(call.node, call.network).interface,
                        snap_bytes=call.snap_bytes,
                        size_bytes=call.size_bytes,
                    )
                ).decode()
                argv = [sys.executable, "-m", "testbed.agent.capture", spec.strip()]
                return processes.start_own(replace(node, cgroups=()), argv)
            case messages.Spawn():
                return await self._start(call.node, call.argv, stdio=stdio, term=call.term)

    async def _wait_until_on(self, node: str) -> None:
        while going_on := self._going_on.get(node):
            await going_on.wait()
        if node in self._off:
            message = f"node {node} is off: a fault has stopped it"
            raise LabError("node-stopped", message, f"start it: testbed fault LAB {node} start")


def _environment() -> dict[str, str]:
    """Return the variables of all commands of nodes; the file may change any of them.

    Where programs and the user's files are depends on the machine, so PATH and HOME are those of the `up` command;
    no other variable of it is passed on.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {
        "PATH": os.pathsep.join([*path, *(directory for directory in _ADMINISTRATION if directory not in path)]),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
    }


async def _forward(
    stream: asyncio.StreamReader | None, name: str, connection: ServerConnection, ended: asyncio.Task[int]
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
        await connection.send_event(messages.ProcessEvent(stream=name, text=decoder.decode(data)))


async def _obey(connection: ServerConnection, process: processes.Process) -> None:
    """Carry out what a client sends to a running process; kill it when the client disconnects."""
    while message := await connection.receive():
        tell = protocol.read(message.tell, messages.Tell, "tell")
        if tell.start_ns is not None:
            process.streams.write_input(protocol.line_of({"start_ns": tell.start_ns}))
        if tell.eof:
            process.streams.close_input()
        if tell.signal is not None:
            process.signal(tell.signal)
    process.kill()
