"""The guardian: a process beside the agent that cleans up if the agent is killed.

On open networks it puts everything back as it was, because without the agent the containers there could not reach each
other any more. On networks of the lab's own it keeps links closed: it takes every port that appears off its bridge,
since no agent is left to close the port.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from testbed.agent import switch
from testbed.agent.journal import Bridge, Journal, outcome, undo
from testbed.agent.netlink import LINK_GROUP, EventSocket, RouteSocket
from testbed.linux import namespaces

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


def start(lab: str, path: Path) -> None:
    """Start the guardian of this process as a child of it. Threads and an event loop may exist only afterwards."""
    agent = os.pidfd_open(os.getpid())
    if not os.fork():
        _be_guardian(lab, agent, path)
    os.close(agent)


def start_ahead(lab: str, path: Path) -> socket.socket:
    """Start the guardian of an agent that is still to come, and will be in namespaces where it can't be a child of it.

    Returns:
        A socket that takes the agent's pidfd (pidfd_open(2)). Where it is closed without, there is no agent.
    """
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        _, agents, _, _ = socket.recv_fds(theirs, 1, 1)
        if not agents:
            os._exit(0)
        theirs.close()
        _be_guardian(lab, agents[0], path)
    theirs.close()
    return ours


def _be_guardian(lab: str, agent: int, path: Path) -> NoReturn:
    status = 1
    try:
        book = Journal.at(path)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # the pipe from the command belongs to the agent alone
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        guard(lab, agent, book)
        status = 0
    except Exception:  # noqa: BLE001  # the log is all that is left of it
        _log.exception("the guardian failed")
    finally:
        os._exit(status)


def guard(lab: str, agent: int, book: Journal) -> None:
    """Wait until the agent has ended, and put back what it has not.

    Args:
        lab: its name.
        agent: file descriptor of the agent's process (pidfd_open(2)).
        book: its journal.
    """
    events = EventSocket(LINK_GROUP)  # hears of what happens between the agent's death and our next step
    waiting = select.poll()
    waiting.register(agent, select.POLLIN)
    waiting.poll()
    if outcome(book.entries()):
        return
    _log.warning("the agent of lab %s was killed: its guardian puts back what is not the lab's", lab)
    bridges: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for entry in book.entries():
        if isinstance(entry, Bridge):
            bridges[entry.network, entry.path].add(entry.index)
    places = [
        place for (network, path), indexes in bridges.items() if (place := _place(network, path, indexes, events))
    ]
    undo.put_back(book, agent_died=True, lab=lab)
    if places:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # `down` ends us
        _keep_closed(places)


class _GuardedNamespace(NamedTuple):
    """Bridges of one network namespace: netlink sockets in it, their indexes, and the ports that they have already."""

    route: RouteSocket
    events: EventSocket
    bridges: set[int]
    known: set[int]


def _place(network: int, path: str, bridges: set[int], events: EventSocket) -> _GuardedNamespace | None:
    """Return bridges in the namespace with that inode; None if it has gone.

    Args:
        network: the inode; 0 is the present namespace.
        path: of the namespace.
        bridges: their indexes.
        events: those of the present namespace.
    """
    if not network:
        return _with_ports(RouteSocket(), events, bridges)
    fd = namespaces.open_network(network, path)
    if fd is None:
        return None
    try:
        with namespaces.inside(fd):
            return _with_ports(RouteSocket(), EventSocket(LINK_GROUP), bridges)
    finally:
        os.close(fd)


def _with_ports(route: RouteSocket, events: EventSocket, bridges: set[int]) -> _GuardedNamespace:
    known = {device.index for device in switch.devices(route) if device.master in bridges}
    return _GuardedNamespace(route, events, bridges, known)


def _keep_closed(places: list[_GuardedNamespace]) -> None:
    """Remove ports that appear on bridges, as long as any of these bridges exists."""
    waiting = select.poll()
    for place in places:
        waiting.register(place.events, select.POLLIN)
    while True:
        for place in list(places):
            if not _close_new_ports(place):
                waiting.unregister(place.events)
                places.remove(place)
        if not places:
            return
        heard = {fd for fd, _ in waiting.poll()}
        for place in places:
            if place.events.fileno() in heard:
                place.events.read()


def _close_new_ports(place: _GuardedNamespace) -> bool:
    """Remove new ports from their bridges; return False if the bridges have gone."""
    devices = {device.index: device for device in switch.devices(place.route)}
    if not place.bridges & devices.keys():
        return False
    for device in devices.values():
        if device.master in place.bridges and device.index not in place.known:
            try:
                switch.unplug(place.route, device.index)
            except OSError:
                continue  # it has gone again
            _log.warning("port %s was taken off its bridge, because the agent does not run", device.name)
    return True
