"""Nodes that come, go and change while the lab is up: their links follow them.

A container that is restarted, made anew, or taken off a network and put back, has a new port, which would pass
everything untouched. The kernel tells of every device that becomes a port of a lab's bridge (rtnetlink(7)). The agent
closes it at once, before Docker has the container's end of it up, and opens it when its links work, or when it is clear
that it is no node's and the network is open. The port's own counters tell how many packets it had passed by then.

A node may also send with a new MAC, of a macvlan perhaps. These packets are dropped until the bridge has told at which
port it learned that MAC, and are the node's like any other from then on; on an open network they pass until then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import aliases, switch
from testbed.agent.members import Whose
from testbed.agent.messages import AttachmentReport, Incident
from testbed.agent.netlink import LINK_GROUP, NEIGHBOUR_GROUP, EventSocket
from testbed.agent.nodes import devices_of
from testbed.agent.port_problems import (
    STARTING_SECONDS,
    NewPort,
    addresses,
    closed_ports,
    problems,
    sends_with_too_many,
)
from testbed.agent.ports import Place
from testbed.agent.switch import Device, Gone, Learned
from testbed.errors import LabError, TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.agent.links import Links
    from testbed.agent.members import Members
    from testbed.agent.ports import DeviceKey, Port, Side
    from testbed.agent.wires import Wires
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

_SOON_SECONDS = 0.02
_LATER_SECONDS = 1.0
_OWNERLESS_SECONDS = 1.0
"""After which a port behind which no process is seen is nobody's that could be a node."""

DROPPED = "packets were dropped because their source MAC is no node's"

_KEPT = 1000

_FAILURES = (TestbedError, NetlinkError, OSError)
"""What the kernel and the engine raise where a device or a process is not there any more."""


@dataclass(slots=True)
class Attachments:
    """Follows what happens to the ports of a lab, and remembers it."""

    wiring: Wiring
    links: Links
    members: Members
    wires: Wires
    _events: dict[int, EventSocket] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: list[Port] = field(default_factory=list)
    _learned: list[tuple[Side, Learned]] = field(default_factory=list)
    _changed: set[str] = field(default_factory=set)
    _in_nodes: dict[str, EventSocket] = field(default_factory=dict)
    _new: dict[DeviceKey, NewPort] = field(default_factory=dict)
    _returned: set[tuple[str, str]] = field(default_factory=set)
    _not_nodes: dict[DeviceKey, str] = field(default_factory=dict)
    _unrouted: dict[str, str] = field(default_factory=dict)
    _incidents: deque[Incident] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _happened: int = 0

    def __post_init__(self) -> None:
        self.links.steering.access.before_opening = self.wires.let_pass
        self.wires.when_removed = lambda port: self._disappeared(port.key)

    def _hear_side(self, side: Side) -> None:
        """Hear of what changes on a switch side."""
        if side.number not in self._events:
            with namespaces.inside(side.fd):
                events = self._events[side.number] = EventSocket(LINK_GROUP | NEIGHBOUR_GROUP)
            asyncio.get_running_loop().add_reader(events.fileno(), self._hear, side)

    def _ignore_side(self, number: int) -> None:
        events = self._events.pop(number)
        asyncio.get_running_loop().remove_reader(events.fileno())
        events.close()

    async def follow(self) -> None:
        """Follow until cancelled."""
        self._hear_side(self.wiring.main)
        self._settled.set()
        try:
            while True:
                starting = any(port.is_starting for port in self._new.values())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _SOON_SECONDS if starting else _LATER_SECONDS)
                self._wake.clear()
                await self._act()
                if not self._wake.is_set() and not any(port.is_starting for port in self._new.values()):
                    self._settled.set()
        finally:
            for name in list(self._in_nodes):
                self._ignore_node(name)
            for number in list(self._events):
                self._ignore_side(number)

    async def recognise(self) -> None:
        """Leave ports alone that are on open networks already and no node's.

        Raises:
            LabError: `docker-engine-unknown`, `docker-engine-silent`.
        """
        await self.members.require_engine()
        for side in self.wiring.sides:
            self._hear_side(side)
            for device in switch.devices(side.route):
                network, key = self.wiring.bridged(side, device), (side.number, device.index)
                if network not in self.wiring.open_networks or self.wiring.port_at(key):
                    continue
                if await self.members.is_no_node(Place(side, device)):
                    self._not_nodes[key] = network

    def begin(self) -> None:
        """Take in how things are now that the lab is up, and hear of what changes in the nodes."""
        for name in self.wiring.nodes:
            self._hear_node(name)
        self.look()

    def _hear_node(self, name: str) -> None:
        """Hear of what changes in a node, as it is now."""
        self._ignore_node(name)
        with suppress(TestbedError, OSError):
            with namespaces.inside(self.wiring.node(name).network):
                self._in_nodes[name] = EventSocket(LINK_GROUP)
            asyncio.get_running_loop().add_reader(self._in_nodes[name].fileno(), self._node_changed, name)

    def _ignore_node(self, name: str) -> None:
        if known := self._in_nodes.pop(name, None):
            asyncio.get_running_loop().remove_reader(known.fileno())
            known.close()

    def _node_changed(self, name: str) -> None:
        self._in_nodes[name].read()
        self._changed.add(name)
        self._stir()

    def look(self) -> None:
        """Take in how things are, as if all of it had just happened."""
        for side in self.wiring.sides:
            found = {device.index: device for device in switch.devices(side.route)}
            for device in found.values():
                self._appeared(side, device)
            for place, port in self.wiring.ports.items():
                if port.side.number == side.number and place not in self.wiring.gone and port.index not in found:
                    self._disappeared(port.key)
            for learned in switch.learned(side.route):
                self._was_learned(side, learned)

    async def report(self, *, settled: bool = True) -> AttachmentReport:
        """What is wrong now, what has happened, and what was dropped.

        Args:
            settled: wait a while until what has just happened is dealt with.
        """
        if settled:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), STARTING_SECONDS)
        dropped = self.links.steering.rules.dropped()
        noted = [f"{port}: {count} {DROPPED}" for port, count in dropped.items() if count]
        return AttachmentReport(
            problems=(
                *await problems(self.wiring, self._new, self._returned, self.members.left),
                *self._route_problems(),
            ),
            notes=(*closed_ports(self.wiring, self._new), *noted),
            incidents=tuple(self._incidents),
            unknown_dropped=dropped,
        )

    def _hear(self, side: Side) -> None:
        messages = self._events[side.number].read()
        if messages is None:
            self.look()
            return
        for event in switch.events(messages):
            match event:
                case Device():
                    self._appeared(side, event)
                case Gone():
                    self._disappeared((side.number, event.index))
                case Learned():
                    self._was_learned(side, event)

    def _appeared(self, side: Side, device: Device) -> None:
        network, key = self.wiring.bridged(side, device), (side.number, device.index)
        known = self._new.get(key)
        if not device.connected:
            self._not_nodes.pop(key, None)  # its other end may be moving to a node
        if known and device.connected and not known.connected:
            known.connected = time.monotonic()
            self._stir()
        if network is None or (known and known.closed) or self.wiring.port_at(key):
            return
        if self._not_nodes.get(key) == network:
            return
        try:
            (now,) = switch.devices(side.route, device.index)
            if aliases.carries_links(now):  # what a bridge reports of its port lacks the alias
                self._not_nodes[key] = network
                return
            closed = self.links.steering.rules.close(side, device.index, network)
            (now,) = switch.devices(side.route, device.index)
        except OSError:
            return  # it has gone again
        except LabError as error:
            self._note(f"{device.name}, a new port of network {network}, could not be closed: {error.message}")
            return
        if not known or closed:
            self._new[key] = NewPort(
                side=side,
                network=network,
                name=device.name,
                since=time.monotonic(),
                passed=now.sent + now.received,
                closed=closed,
            )
            self._stir()

    def _disappeared(self, key: DeviceKey) -> None:
        self._new.pop(key, None)
        self._not_nodes.pop(key, None)
        if port := self.wiring.port_at(key):
            self.wiring.lose(port)
            self._note(self.wiring.gone[port.node, port.network])
            self._gone.append(port)
            self._stir()

    def _was_learned(self, side: Side, learned: Learned) -> None:
        port = self.wiring.port_at((side.number, learned.port))
        if port and self.wiring.senders[port.network].get(learned.mac) != port.node:
            self._learned.append((side, learned))
            self._stir()

    def _stir(self) -> None:
        self._settled.clear()
        self._wake.set()

    def _note(self, what: str) -> None:
        _log.info(what)
        self._happened += 1
        self._incidents.append(Incident(number=self._happened, at_ns=time.monotonic_ns(), what=what))

    async def _act(self) -> None:
        """Deal with what has been heard. What fails because things change again is heard of again."""
        for name in [name for name, node in self.wiring.nodes.items() if node.is_held and node.has_ended]:
            await self._let_go(name)
        await self._take_apart()
        while self._learned:
            self._follow_mac(*self._learned.pop(0))
        while self._changed:
            name = self._changed.pop()
            if not self.wiring.nodes[name].has_ended:
                with self._noting(f"the links of node {name} could not be adapted to what changed in it"):
                    await self._follow_node(name)
        with self._noting("links with this machine could not follow its addresses"):
            await self.links.follow_addresses()
        try:
            for name in await self.members.notice_departures():
                self._note(f"node {name} has left its service, which has fewer containers now")
        except LabError as error:
            _log.warning(error.message)
        for key, new in list(self._new.items()):
            try:
                await self._try_to_attach(key, new)
            except _FAILURES as error:
                new.failure = str(error)
        await self._return_wires()
        self._return_routes()

    async def _return_wires(self) -> None:
        """Connect the containers that have started again. Their ports are closed before they are switched on."""
        for name in self.wires.lost():
            try:
                ports = await self.wires.connect(name)
                for port in ports:
                    self._appeared(self.wiring.main, port)
                self.wires.devices.switch_on(ports)
            except _FAILURES as error:  # it is starting, or has ended again: the next round tries again
                _log.debug("node %s has not got its wires back: %s", name, error)

    def _route_problems(self) -> list[str]:
        return [f"node {name} has not got its routes back: {error}" for name, error in self._unrouted.items() if error]

    def _return_routes(self) -> None:
        """Give nodes that are attached again their routes, as soon as the interfaces for these are there."""
        for name in list(self._unrouted):
            try:
                self.wires.route(name)
                del self._unrouted[name]
            except _FAILURES as error:
                self._unrouted[name] = str(error)

    @contextmanager
    def _noting(self, failure: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            self._note(f"{failure}: {error}")

    async def _take_apart(self) -> None:
        """Remove the links to ports that have gone."""
        while self._gone:
            port = self._gone.pop()
            with self._noting(f"the links to {port} could not be taken apart"):
                await self.links.detach(port)

    async def _let_go(self, name: str) -> None:
        """Have a namespace that has lost its name, or its process, go: what of it the agent holds, it holds no more."""
        number = self.wiring.nodes[name].number
        self._ignore_node(name)
        for place, port in self.wiring.ports.items():
            if place not in self.wiring.gone and (port.node == name or port.side.number == number):
                self._disappeared(port.key)
        await self._take_apart()
        if side := self.wiring.elsewhere.pop(number, None):
            self._ignore_side(number)
            await self.links.leave(side)
            side.close()
        self.wiring.release(name)

    async def _try_to_attach(self, key: DeviceKey, new: NewPort) -> None:
        """Have the links of a new port work, as soon as it can be told whose it is."""
        if self.wiring.port_at(key) and not new.closed:  # it was heard of while the lab came up
            del self._new[key]
            return
        (device,) = switch.devices(new.side.route, key[1])
        if not device.connected:
            return
        port = self.wiring.port_at(key) or await self.members.owner_of(Place(new.side, device), new.network)
        if key not in self._new:
            return  # it has gone while the Docker Engine was asked
        if isinstance(port, Whose):
            too_long = time.monotonic() - (new.connected or new.since) > _OWNERLESS_SECONDS
            if port is Whose.NO_NODE or (port is Whose.UNSEEN and too_long):
                self._not_a_node(key, new)
            return
        if port.network in self.wiring.open_networks:  # where it may have any address
            address, *_ = [*await addresses(port, self.wiring), port.address]
            port = self.wiring.ports[port.node, port.network] = replace(port, address=address)
        impaired = await self.links.attach(port)
        self.links.steering.rules.open(key)
        self._new.pop(key, None)
        self._returned.add((port.node, port.network))
        self._unrouted[port.node] = ""
        self.wires.let_pass(port.network)
        self._hear_node(port.node)
        if (port.node, port.network) in self.wiring.expected:
            self.wiring.expected.remove((port.node, port.network))
            took_ms = (time.monotonic() - (new.connected or time.monotonic())) * 1e3
            _log.info("%s: its links work %.1f ms after it was up", port, took_ms)
        elif impaired:
            self._note(f"node {port.node} was attached to network {port.network} again: its links began anew")
        passed = new.passed if new.closed else device.sent + device.received
        if impaired and passed:
            self._note(f"{passed} packets reached or left {port} without impairments, before its links were ready")

    def _not_a_node(self, key: DeviceKey, new: NewPort) -> None:
        """Have a port of an open network as it was; on a network of the lab's own it stays closed."""
        if new.network in self.wiring.open_networks:
            self.links.steering.rules.release(new.side, key[1])
            self._new.pop(key, None)
            self._not_nodes[key] = new.network
            if new.closed:
                waited_ms = (time.monotonic() - new.connected) * 1e3 if new.connected else 0
                _log.info(
                    "%s, a port of network %s, is no node's: open %.1f ms after it was up",
                    new.name,
                    new.network,
                    waited_ms,
                )

    def _follow_mac(self, side: Side, learned: Learned) -> None:
        """Count a MAC among those of the node at whose port it was learned."""
        port = self.wiring.port_at((side.number, learned.port))
        if port is None:
            return
        senders = self.wiring.senders[port.network]
        before = senders.get(learned.mac)
        if before == port.node or sends_with_too_many(port, self.wiring):
            return
        senders[learned.mac] = port.node
        if before is not None:
            self._note(
                f"network {port.network}: packets from MAC {learned.mac}, which was {before}'s, now come from "
                f"{port.node}; the first of them had the impairments of {before}'s links"
            )
        self._changed.add(port.node)

    async def _follow_node(self, name: str) -> None:
        """Have the links of a node fit its interfaces as they are now."""
        inner = {device.name: device for device in devices_of(self.wiring.node(name))}
        by_peer = {device.peer: device for device in inner.values()}
        for place, port in list(self.wiring.ports.items()):
            own = inner.get(port.interface)
            if own is None or own.peer != port.index:
                own = by_peer.get(port.index)
            if port.node == name and own and place not in self.wiring.gone:
                now = replace(port, mac=own.mac, interface=own.name)
                self.wiring.ports[place] = now
                self.wiring.senders[port.network].setdefault(own.mac, name)
                await self.links.follow(now)
