"""Puts back what a journal says, however the agent has ended."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import aliases, filter_hooks, machine, offloads, switch
from testbed.agent.journal.entries import (
    Bridge,
    CgroupMade,
    ContainerOff,
    ContainerPaused,
    ContainerThrottled,
    ForwardsBy,
    OffloadsOff,
    OnMachine,
    PortUsed,
    PutBack,
    outcome,
    still_open,
)
from testbed.agent.netlink import RouteSocket
from testbed.errors import TestbedError
from testbed.linux import cgroups, namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.agent.docker_engine import LocalDockerEngine
    from testbed.agent.journal.book import Journal
    from testbed.agent.journal.entries import Entry


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
    entries = [entry for entry in still_open(lines).values() if not isinstance(entry, Bridge)]
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
            _undo(entry)
        except (OSError, TestbedError) as error:
            failures.append(f"{entry}: {error}")
    with journal.alone():
        failures += _switch_all_on(journal, entries)
        journal.write(PutBack(agent_died=agent_died, ports=len(used), failures=tuple(failures)))


def _undo(entry: Entry) -> None:
    """Undo what has happened to the machine, or to a container of others if it is still there.

    Raises:
        OSError, TestbedError: the kernel or the Docker Engine refuses, or does not answer.
    """
    match entry:
        case OnMachine():
            machine.close(entry.table, entry.interfaces, entry.firewalls)
        case ForwardsBy():  # comes after its lab's table
            machine.take_back(entry.interface)
        case ContainerPaused():
            _docker_engine(entry.engine).unpause(entry.container)
        case ContainerOff():
            _docker_engine(entry.engine).start(entry.container)
        case ContainerThrottled():
            _docker_engine(entry.engine).limit(entry.container, entry.limits)
        case CgroupMade():
            cgroups.remove(Path(entry.path))
        case _:
            pass


def _docker_engine(path: str) -> LocalDockerEngine:
    from testbed.agent.docker_engine import LocalDockerEngine  # noqa: PLC0415  # it imports an HTTP client

    return LocalDockerEngine(Path(path))


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
    filter_hooks.remove(route, used.port, with_hook=not used.had_hook)
    if not used.had_hook:
        with suppress(OSError):
            switch.set_queue_length(route, used.port, used.queue_length)


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
