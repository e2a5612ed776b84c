"""The lines of a journal: what the agent is about to change on what is not the lab's, and what it has undone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line of the journal."""


class PortUsed(_Entry, frozen=True, kw_only=True):
    """The agent is about to attach filters to a port.

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
    """A network of the lab's own has links: no new port of its bridge may pass anything without the agent.

    Attributes:
        network: inode of the network namespace that the bridge is in; 0 for that of the switch side.
        path: of that namespace.
    """

    index: int
    network: int = 0
    path: str = ""


class OnMachine(_Entry, frozen=True, kw_only=True):
    """The agent is about to open the way out of a lab of network namespaces; see `machine.close`."""

    table: str
    interfaces: tuple[str, ...]
    firewalls: tuple[str, ...]


class ForwardsBy(_Entry, frozen=True, kw_only=True):
    """The agent is about to have the machine forward what comes in by an interface; see `forwarding`."""

    interface: str


class _ContainerEntry(_Entry, frozen=True, kw_only=True):
    """A line about an attached container.

    Attributes:
        container: its id.
    """

    container: str


class _ContainerChange(_ContainerEntry, frozen=True, kw_only=True):
    """A change of an attached container, to be undone.

    Attributes:
        engine: the Docker Engine's socket.
    """

    engine: str


class ContainerPaused(_ContainerChange, frozen=True, kw_only=True):
    """The agent is about to pause an attached container."""


class ContainerGoesOn(_ContainerEntry, frozen=True, kw_only=True):
    """The agent has ended the pause of a container."""


class ContainerOff(_ContainerChange, frozen=True, kw_only=True):
    """The agent is about to stop or kill an attached container."""


class ContainerOn(_ContainerEntry, frozen=True, kw_only=True):
    """The agent has started a container again."""


class ContainerThrottled(_ContainerChange, frozen=True, kw_only=True):
    """The agent is about to limit the CPU time of an attached container.

    Attributes:
        limits: that it had, as `LocalDockerEngine.update` takes them.
    """

    limits: dict[str, int]


class ContainerUnthrottled(_ContainerEntry, frozen=True, kw_only=True):
    """A container has the CPU time again that it had at first."""


class CgroupMade(_Entry, frozen=True, kw_only=True):
    """The agent is about to make a cgroup for a node of namespaces."""

    path: str


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


Entry = (
    PortUsed
    | PortLeft
    | OffloadsOff
    | Bridge
    | OnMachine
    | ForwardsBy
    | ContainerPaused
    | ContainerGoesOn
    | ContainerOff
    | ContainerOn
    | ContainerThrottled
    | ContainerUnthrottled
    | CgroupMade
    | PutBack
)
_ENTRIES: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)
Subject = tuple[type[Entry], int, int | str]

_ENDED: dict[type[Entry], type[Entry]] = {
    ContainerGoesOn: ContainerPaused,
    ContainerOn: ContainerOff,
    ContainerUnthrottled: ContainerThrottled,
}
"""What each entry about a container ends."""


def subject(entry: Entry) -> Subject:
    """Return what identifies the subject of an entry: the kind, the namespace and the device, or the container."""
    match entry:
        case PortUsed() | PortLeft() | OffloadsOff():
            return type(entry), entry.network, entry.port
        case Bridge():
            return Bridge, entry.network, entry.index
        case ForwardsBy():
            return ForwardsBy, 0, entry.interface
        case CgroupMade():
            return CgroupMade, 0, entry.path
        case OnMachine() | PutBack():
            return type(entry), 0, 0
        case _:
            return type(entry), 0, entry.container


def still_open(entries: Iterable[Entry]) -> dict[Subject, Entry]:
    """Return the entries that are not undone yet, by their subjects."""
    found: dict[Subject, Entry] = {}
    for entry in entries:
        match entry:
            case PortLeft():
                found.pop((PortUsed, entry.network, entry.port), None)
            case ContainerGoesOn() | ContainerOn() | ContainerUnthrottled():
                found.pop((_ENDED[type(entry)], 0, entry.container), None)
            case PutBack():
                found.clear()
            case _:
                found.setdefault(subject(entry), entry)
    return found


def read(data: bytes) -> list[Entry]:
    """The lines of a journal, in their order."""
    found: list[Entry] = []
    for line in data.splitlines():
        with suppress(msgspec.DecodeError):  # the last line of a process that was killed
            found.append(_ENTRIES.decode(line))
    return found


def outcome(entries: Sequence[Entry]) -> PutBack | None:
    """Return the last entry, about what was put back; None if something is not put back yet."""
    return entries[-1] if entries and isinstance(entries[-1], PutBack) else None
