"""What the agent changes on devices that are not the lab's: written to a file before it is done, and put back from it.

The agent puts everything back when it ends. If it is killed, its guardian does (`guardian`); if both are killed,
the command that takes the lab down does. All of them read the same file, and putting back twice does no harm.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from testbed.agent import aliases, filters, machine, offloads, switch
from testbed.agent.docker_engine import DockerEngine
from testbed.agent.netlink import RouteSocket
from testbed.errors import TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_READ_BYTES = 1 << 16


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line of the journal."""


class PortUsed(_Entry, frozen=True, kw_only=True):
    """The agent is about to hang filters on a port.

    Attributes:
        port: index of the device, on the switch side.
        had_hook: the port had a clsact qdisc, which stays.
        queue_length: of the device. The kernel changes 0, as Docker's have it, to 1000 where a qdisc is added
            (`qdisc_create` in net/sched/sch_api.c).
        network: inode of the network namespace that the port is in; 0 for that of the switch side.
        path: of that namespace.
    """

    port: int
    had_hook: bool
    queue_length: int
    network: int = 0
    path: str = ""


class PortLeft(_Entry, frozen=True, kw_only=True):
    """The agent has removed everything from a port again."""

    port: int
    network: int = 0


class OffloadsOff(_Entry, frozen=True, kw_only=True):
    """The agent is about to switch off offloads of an interface in an attached namespace.

    Attributes:
        port: index of the interface's other end, on the switch side.
        network: inode of the network namespace that the interface is in (namespaces(7)).
        pid: of a process that was in it.
        wanted: the features that the interface was told to use, by the kernel's names.
        path: of the network namespace.
    """

    port: int
    network: int
    pid: int
    wanted: tuple[str, ...]
    path: str = ""


class Bridge(_Entry, frozen=True, kw_only=True):
    """A network of the lab's own has links: no new port of its bridge may pass anything without the agent."""

    index: int


class OnMachine(_Entry, frozen=True, kw_only=True):
    """The agent is about to open the way out of a lab of network namespaces; see `machine.close`."""

    table: str
    interfaces: tuple[str, ...]
    firewalls: tuple[str, ...]
    forwards: bool


class ContainerPaused(_Entry, frozen=True, kw_only=True):
    """The agent is about to pause an attached container.

    Attributes:
        container: its id.
        engine: the Docker Engine's socket.
    """

    container: str
    engine: str


class ContainerGoesOn(_Entry, frozen=True, kw_only=True):
    """The agent has ended the pause of a container."""

    container: str


class PutBack(_Entry, frozen=True, kw_only=True):
    """All that the lines before say was put back.

    Attributes:
        agent_died: by another process, because the agent did not.
        ports: how many ports of attached nodes there were.
        failures: what could not be put back, and why.
    """

    agent_died: bool
    ports: int
    failures: tuple[str, ...] = ()


Entry = PortUsed | PortLeft | OffloadsOff | Bridge | OnMachine | ContainerPaused | ContainerGoesOn | PutBack
_Subject = tuple[type[Entry], int, int | str]


class Journal:
    """The file, which is only ever appended to; a killed process leaves at most its last line unfinished.

    Several labs may need the offloads of one interface off. So a journal knows those of the other labs, which are in
    the directories beside its own.
    """

    def __init__(self, fd: int, labs: int, name: str) -> None:
        """Use a file; `close` closes both descriptors.

        Args:
            fd: of the file, open for reading and appending.
            labs: of the directory that has a directory for each lab.
            name: of a journal in there.
        """
        self._fd = fd
        self._labs = labs
        self._name = name
        self._open = _still_open(self.entries())

    @classmethod
    def at(cls, path: Path) -> Self:
        """The journal at a path, which is made if there is none.

        Raises:
            OSError: it can't be opened.
        """
        # Both stay open, because those of an agent in a container can't be reached by their paths after its death.
        labs = os.open(path.parent.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return cls(fd, labs, path.name)

    def write(self, entry: Entry) -> None:
        """Append a line, unless there is one about the same port or bridge already: the first says how it was.

        Of offloads that other labs have switched off before, these labs know how they were. See `alone`.

        Raises:
            OSError: the disk is full, perhaps; what the entry is about must not be done then.
        """
        if isinstance(entry, OffloadsOff):
            before = {feature for other in self.shared(entry) for feature in other.wanted}
            entry = msgspec.structs.replace(entry, wanted=tuple(sorted({*entry.wanted, *before})))
        if _subject(entry) not in self._open:
            os.write(self._fd, msgspec.json.encode(entry) + b"\n")
            self._open = _still_open([*self._open.values(), entry])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other labs from switching offloads off or on in this context."""
        fcntl.flock(self._labs, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._labs, fcntl.LOCK_UN)

    def shared(self, entry: OffloadsOff) -> list[OffloadsOff]:
        """Return what the journals of other labs have about the interface of an entry."""
        found = []
        for path in Path(f"/proc/self/fd/{self._labs}").glob(f"*/{self._name}"):
            with suppress(OSError):  # that lab has just gone
                if not os.path.samestat(path.stat(), os.fstat(self._fd)):
                    found.append(_still_open(read(path.read_bytes())).get(_subject(entry)))
        return [other for other in found if isinstance(other, OffloadsOff)]

    def entries(self) -> list[Entry]:
        """All lines, in their order."""
        data = b""
        while more := os.pread(self._fd, _READ_BYTES, len(data)):
            data += more
        return read(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
        os.close(self._labs)


def read(data: bytes) -> list[Entry]:
    """The lines of a journal, in their order."""
    found: list[Entry] = []
    for line in data.splitlines():
        with suppress(msgspec.DecodeError):  # the last line of a process that was killed
            found.append(msgspec.json.decode(line, type=Entry))
    return found


def outcome(entries: Sequence[Entry]) -> PutBack | None:
    """How what the journal says was put back; None where something is not."""
    return entries[-1] if entries and isinstance(entries[-1], PutBack) else None


def put_back(journal: Journal, *, agent_died: bool, lab: str = "") -> None:
    """Put back what the journal says. Call it in the namespace of the switch side.

    Filters go first: what has passed through links passes untouched from then on. Offloads that other labs need off
    stay off until the last of these puts them back.

    Args:
        journal: which says how everything was.
        agent_died: see `PutBack`.
        lab: whose devices are to go too, if something has been put back; the agent removes its own by itself.
    """
    lines = journal.entries()
    if outcome(lines):
        return
    entries = [entry for entry in _still_open(lines).values() if not isinstance(entry, Bridge)]
    used = [entry for entry in entries if isinstance(entry, PortUsed)]
    failures: list[str] = []
    for network, path in sorted({(0, ""), *((port.network, port.path) for port in used)}):
        try:
            with _inside(network, path) as route:
                if route is not None:
                    failures += _leave_all(route, [port for port in used if port.network == network])
                    if lab and entries:
                        aliases.sweep(route, lab)
        except OSError as error:  # the rest is put back nevertheless
            failures.append(f"the devices in {path or 'the namespace of the switch side'}: {error}")
    for entry in entries:
        try:
            if isinstance(entry, OnMachine):
                machine.close(entry.table, entry.interfaces, entry.firewalls, forwards=entry.forwards)
            elif isinstance(entry, ContainerPaused):
                DockerEngine(Path(entry.engine)).unpause(entry.container)
        except (OSError, TestbedError) as error:
            failures.append(f"{entry}: {error}")
    with journal.alone():
        failures += _switch_all_on(journal, entries)
        journal.write(PutBack(agent_died=agent_died, ports=len(used), failures=tuple(failures)))


def _switch_all_on(journal: Journal, entries: Iterable[Entry]) -> Iterator[str]:
    """Switch offloads on that no other lab needs off; yield those that could not be, and why."""
    for entry in entries:
        if isinstance(entry, OffloadsOff) and not journal.shared(entry):
            try:
                _switch_on(entry)
            except (OSError, TestbedError) as error:
                yield f"{entry}: {error}"


def _leave_all(route: RouteSocket, ports: Iterable[PortUsed]) -> Iterator[str]:
    """Leave ports of one namespace; yield what could not be put back, and why."""
    for port in ports:
        try:
            leave(route, port)
        except OSError as error:
            yield f"{port}: {error}"


@contextmanager
def _inside(network: int, path: str) -> Iterator[RouteSocket | None]:
    """Give a netlink socket in the namespace with that inode, in the present one for 0; None if it has gone."""
    if not network:
        with RouteSocket() as route:
            yield route
        return
    fd = namespaces.open_network(network, path)
    if fd is None:
        yield None
        return
    try:
        with namespaces.inside(fd), RouteSocket() as route:
            yield route
    finally:
        os.close(fd)


def leave(route: RouteSocket, used: PortUsed) -> None:
    """Restore a port to its state before the agent attached filters to it, if it is still there.

    Raises:
        OSError: the kernel's refusal.
    """
    filters.remove(route, used.port, with_hook=not used.had_hook)
    if not used.had_hook:
        with suppress(OSError):
            switch.set_queue_length(route, used.port, used.queue_length)


def _subject(entry: Entry) -> _Subject:
    """Return what identifies the subject of an entry: the kind, the namespace and the device, or the container."""
    match entry:
        case PortUsed() | PortLeft() | OffloadsOff():
            return type(entry), entry.network, entry.port
        case Bridge():
            return Bridge, 0, entry.index
        case ContainerPaused() | ContainerGoesOn():
            return type(entry), 0, entry.container
        case OnMachine() | PutBack():
            return type(entry), 0, 0


def _still_open(entries: Iterable[Entry]) -> dict[_Subject, Entry]:
    """The entries that nothing has been done about yet, by their subjects."""
    found: dict[_Subject, Entry] = {}
    for entry in entries:
        match entry:
            case PortLeft():
                found.pop((PortUsed, entry.network, entry.port), None)
            case ContainerGoesOn():
                found.pop((ContainerPaused, 0, entry.container), None)
            case PutBack():
                found.clear()
            case _:
                found.setdefault(_subject(entry), entry)
    return found


def _switch_on(entry: OffloadsOff) -> None:
    """Restore an interface's offloads, if it is still there."""
    network = namespaces.open_network(entry.network, entry.path, f"/proc/{entry.pid}/ns/net")
    if network is None:
        return
    try:
        with namespaces.inside(network), RouteSocket() as route:
            names = [device.name for device in switch.devices(route) if device.peer == entry.port]
        for name in names:
            offloads.switch_on(network, name, entry.wanted)
    finally:
        os.close(network)
