"""The agent's listener: connections, calls, and the processes that run on behalf of a connection."""

from __future__ import annotations

import asyncio
import codecs
import errno
import logging
import os
import socket
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, get_args

import msgspec

from testbed import logs
from testbed.agent import (
    adoption,
    awaited,
    creation,
    http_probe,
    messages,
    nat_probe,
    nodes,
    packet_filters,
    processes,
    protocol,
    routes,
    sockets,
    timeline,
)
from testbed.agent.connection import Connection
from testbed.agent.tasks import cancelled
from testbed.errors import LabError, TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from testbed.agent.attachments import Attachments
    from testbed.agent.links import Links
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

_ProcessCall = messages.Spawn | messages.Endpoint | messages.Capture

_PROCESSES: dict[str, type[_ProcessCall]] = {kind.call_name(): kind for kind in get_args(_ProcessCall)}

_FREQUENT = (messages.Accepts, messages.HttpStatus, messages.Attachments, messages.Statistics, messages.Sockets)
"""Calls that come many times a second; they are logged where everything is."""

_AT_ONCE = (messages.Hello, messages.Clock, messages.HttpStatus, messages.StopCommands, messages.ProbeNat)
"""Calls that wait for no other: they are asked of an agent that may be busy, or stuck; or take long themselves."""

_CHUNK = 1 << 16
_LOCAL_CONNECT_SECONDS = 0.2
_STOPPING_SECONDS = 10
"""In which a program ends after its stop signal, as Docker Compose's `stop_grace_period`."""
_REACH_SECONDS = 2.5  # two SYNs: TCP repeats the first one after a second (RFC 6298, 2.1)
_DISCARD_PORT = 9  # RFC 863
_BY_SIGNAL = 128
_AFTERWARDS_SECONDS = 1
"""After which what a process wrote counts as whole once it has ended; what it wrote itself is there at once."""

_ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories of programs for root: the commands of nodes run as root, also in an ordinary user's lab."""


class Server:
    """Carries out all calls of the protocol, for one lab."""

    def __init__(
        self, lab: str, wiring: Wiring, links: Links, attachments: Attachments, directory: Path, *, isolated: bool
    ) -> None:
        self._lab = lab
        self._wiring = wiring
        self._links = links
        self._attachments = attachments
        self._directory = directory
        self._isolated = isolated
        self._plan: Mapping[str, object] | None = None
        self._commands: dict[str, processes.Process] = {}
        self._processes: dict[str, processes.NodeProcesses] = {}
        self._owners: dict[str, dict[int, sockets.Owner]] = {}
        self._environment = _environment()
        self._nats: dict[str, messages.NewNat] = {}
        self._exclusive = asyncio.Lock()
        self.ended = asyncio.Event()
        handlers: dict[type[messages.Call[Any]], Callable[[Any], Awaitable[object]]] = {
            messages.Hello: self._hello,
            messages.Clock: self._clock,
            messages.Create: self._create,
            messages.Adopt: self._adopt,
            messages.Await: self._await,
            messages.Launch: self._launch,
            messages.Accepts: self._accepts,
            messages.HttpStatus: self._http_status,
            messages.StopCommands: self._stop_commands,
            messages.Look: self._look,
            messages.Reaches: self._reaches,
            messages.Attachments: self._report,
            messages.Impair: self._impair,
            messages.Restart: self._restart,
            messages.Statistics: self._statistics,
            messages.Sockets: self._sockets,
            messages.ProbeNat: self._probe_nat,
            messages.Remember: self._remember,
            messages.Shutdown: self._shutdown,
        }
        self._handlers = {kind.call_name(): (kind, handler) for kind, handler in handlers.items()}

    @property
    def is_up(self) -> bool:
        """Whether the lab has been brought up completely, so that it outlives the command that makes it."""
        return self._plan is not None

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until the agent ends."""
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
                name, arguments = message.call or "nothing", message.arguments
                try:
                    if kind := _PROCESSES.get(name):
                        await self._run(connection, protocol.read(arguments, kind, name))
                        return
                    if name == messages.Stay.call_name():
                        protocol.read(arguments, messages.Stay, name)
                        await connection.receive()
                        _log.info("the command that attached the lab has ended, and so does the lab")
                        self.ended.set()
                        return
                    if name == messages.Timeline.call_name():
                        what = protocol.read(arguments, messages.Timeline, name)
                        await timeline.carry_out(connection, what, self._change)
                        await connection.send_result(None)
                        return
                    await connection.send_result(await self._call(name, arguments))
                except TestbedError as error:
                    await connection.send(protocol.error_message(error))
                except Exception as error:  # noqa: BLE001  # the client must hear of every failure
                    traceback.print_exc()
                    failed = LabError("agent-failed", f"{name}: {error!r}", "the lab's agent.log says where")
                    await connection.send(protocol.error_message(failed))
        finally:
            connection.close()

    async def _call(self, name: str, arguments: object) -> object:
        if name not in self._handlers:
            raise LabError("unknown-call", f"this agent knows no call {name!r}", "it is of another version")
        kind, handle = self._handlers[name]
        call = protocol.read(arguments, kind, name)
        if kind in _AT_ONCE:
            return await handle(call)
        async with self._exclusive:
            with logs.timed(_log, name, level=logging.DEBUG if kind in _FREQUENT else logging.INFO):
                return await handle(call)

    async def _hello(self, _: messages.Hello) -> messages.AgentStatus:
        return messages.AgentStatus(
            version=protocol.VERSION,
            lab=self._lab,
            pid=os.getpid(),
            plan=self._plan,
            dead_links=self._links.dead(),
            nodes={
                name: "gone" if node.path and node.has_ended else _state(self._commands.get(name))
                for name, node in self._wiring.nodes.items()
                if name not in self._attachments.members.left
            },
            pauses={name: command.pauses for name, command in self._commands.items()},
            members=self._attachments.members.changed(),
            left=tuple(sorted(self._attachments.members.left)),
        )

    async def _clock(self, _: messages.Clock) -> int:
        return time.monotonic_ns()

    async def _create(self, call: messages.Create) -> None:
        await creation.create(self._wiring, call.networks, call.nodes, self._directory / "hosts")
        self._note_nats(call.nodes)
        for node in call.nodes:
            if node.packet_filter:
                packet_filters.install(self._wiring, node.name, node.packet_filter)
            routes.install(self._wiring.node(node.name), node.routes)

    async def _adopt(self, call: messages.Adopt) -> None:
        await adoption.adopt(self._wiring, call.networks, call.nodes)
        self._note_nats(call.nodes)
        await self._attachments.wires.make(call.wires, call.nodes)
        await self._attachments.recognise()

    async def _await(self, call: messages.Await) -> None:
        awaited.expect(self._wiring, call.networks, call.nodes)

    def _note_nats(self, made: Iterable[messages.NewNode | messages.PresentNode]) -> None:
        filters = {node.name: node.packet_filter for node in made}
        self._nats |= {name: found.nat for name, found in filters.items() if found and found.nat}

    async def _launch(self, call: messages.Launch) -> None:
        """Start a node's own command, which runs as long as the lab; its output goes to a file of the lab."""
        log = os.open(self._directory / f"{call.node}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        if user := self._wiring.node(call.node).surroundings.user:
            os.fchown(log, user[0], -1)  # as Docker does, so that the program may open /dev/stdout
        try:
            self._commands[call.node] = await self._start(call.node, call.argv, stdio=(null, log, log))
        finally:
            os.close(log)
            os.close(null)

    async def _accepts(self, call: messages.Accepts) -> bool:
        with namespaces.inside(self._wiring.node(call.node).network), socket.socket() as probe:
            probe.settimeout(_LOCAL_CONNECT_SECONDS)
            return probe.connect_ex((call.address, call.port)) == 0

    async def _http_status(self, call: messages.HttpStatus) -> int:
        return await http_probe.status_of(self._wiring.node(call.node).network, call.address, call.port, call.path)

    async def _stop_commands(self, call: messages.StopCommands) -> None:
        commands = {node: self._commands[node] for node in call.signals if node in self._commands}
        for node, command in commands.items():
            command.signal(call.signals[node])
        ends = [asyncio.ensure_future(command.wait()) for command in commands.values()]
        if ends:
            await asyncio.wait(ends, timeout=_STOPPING_SECONDS)

    async def _look(self, call: messages.Look) -> messages.FoundNamespace:
        node = self._wiring.node(call.node)
        return messages.FoundNamespace(number=os.fstat(node.network).st_ino, addresses=nodes.addresses_of(node))

    async def _reaches(self, call: messages.Reaches) -> bool:
        with namespaces.inside(self._wiring.node(call.node).network), socket.socket() as probe:
            probe.settimeout(_REACH_SECONDS)
            # A port on which nothing listens answers too, with RST (RFC 9293, 3.10.7.1).
            return probe.connect_ex((call.address, _DISCARD_PORT)) in (0, errno.ECONNREFUSED)

    async def _report(self, call: messages.Attachments) -> messages.AttachmentReport:
        return await self._attachments.report(settled=call.settled)

    async def _impair(self, call: messages.Impair) -> tuple[messages.ChosenEngine, ...]:
        chosen = await self._links.impair(call.links)
        if self.is_up:
            self._attachments.look()  # a network may have its first link now
        return chosen

    async def _change(self, changes: Sequence[messages.LinkChange], rebinds: Sequence[str]) -> tuple[int, int]:
        """Change impaired links, have the NATs of nodes rebind; return when that began and when it was done, ns."""
        async with self._exclusive:
            begun_ns = time.monotonic_ns()
            await self._links.change(changes)
            for name in rebinds:
                await packet_filters.rebind(self._wiring, name, self._nats[name])
            return begun_ns, time.monotonic_ns()

    async def _restart(self, call: messages.Restart) -> None:
        await self._links.restart(call.origin_ns)

    async def _statistics(self, _: messages.Statistics) -> tuple[messages.LinkStatistics, ...]:
        left = self._attachments.members.left
        return tuple(each for each in await self._links.statistics() if not {each.source, each.destination} & left)

    async def _sockets(self, call: messages.Sockets) -> dict[str, messages.NodeSockets]:
        return {
            node: sockets.sockets_of(self._wiring.node(node).network, self._owners.setdefault(node, {}))
            for node in call.nodes
        }

    async def _probe_nat(self, call: messages.ProbeNat) -> messages.NatObservation:
        return await nat_probe.observe(self._wiring, call)

    async def _remember(self, call: messages.Remember) -> None:
        # As text: every `Hello` is answered with it, and a plan of thousands of links takes a second to encode.
        self._plan = cast("Mapping[str, object]", msgspec.Raw(msgspec.json.encode(call.plan)))
        self._attachments.begin()

    async def _shutdown(self, _: messages.Shutdown) -> None:
        self.ended.set()

    async def _start(
        self, node: str, argv: Sequence[str], *, stdio: Sequence[int] = (), term: str | None = None
    ) -> processes.Process:
        """Start a command in a node; with `term`, the kind of terminal that its first stream is."""
        found = self._wiring.node(node)
        if not self._isolated:  # a container: its runtime starts the commands, but for those that end them
            return processes.start_own(found, argv, stdio, term)
        if node not in self._processes:
            self._processes[node] = processes.NodeProcesses(found)
        environment = self._environment | ({} if term is None else {"TERM": term}) | dict(found.environment)
        return await self._processes[node].start(argv, environment=environment, stdio=stdio, tty=term is not None)

    async def _start_for(self, call: _ProcessCall, stdio: Sequence[int]) -> processes.Process:
        """Start the process that a call asks for."""
        node = self._wiring.node(call.node)
        match call:
            case messages.Endpoint():
                return processes.start_own(node, [sys.executable, "-m", "testbed.endpoint", call.spec.to_json()])
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

    async def _run(self, connection: Connection, call: _ProcessCall) -> None:
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


def _state(command: processes.Process | None) -> str:
    """Return the state of a node from its own command; an exit status is like a shell's."""
    if command is None or command.returncode is None:
        return "paused" if command and command.paused else "running"
    status = command.returncode
    return f"exited {status if status >= 0 else _BY_SIGNAL - status}"


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
        await connection.send_event(messages.ProcessEvent(stream=name, text=decoder.decode(data)))


async def _obey(connection: Connection, process: processes.Process) -> None:
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
