"""Nodes that come, go and change while the lab is up: their links follow them.

A container that is restarted, made anew, or taken off a network and put back, has a new port, which would pass
everything untouched. The kernel tells of every device that becomes a port of a lab's bridge (rtnetlink(7)). The agent
closes it at once, before Docker has the container's end of it up, and opens it when its links work, or when it is clear
that it is no node's and the network is open. The port's own counters tell how many packets it had passed by then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, replace
from typing import TYPE_CHECKING

from testbed.agent import sender_macs, switch
from testbed.agent.distant import DistantAgents
from testbed.agent.incidents import FAILURES, Incidents
from testbed.agent.members import Unowned
from testbed.agent.messages import AttachmentReport
from testbed.agent.new_ports import STARTING_SECONDS, NewPorts
from testbed.agent.port_events import PortEvents
from testbed.agent.port_problems import addresses, closed_ports, problems
from testbed.agent.ports import DevicePlace
from testbed.agent.switch import Gone, Learned, NetworkDevice
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.agent.lab_events import Events
    from testbed.agent.links import Links
    from testbed.agent.members import Members
    from testbed.agent.new_ports import NewPort
    from testbed.agent.ports import DeviceKey, Port, Side
    from testbed.agent.wires import Wires
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

_SOON_SECONDS = 0.02
_LATER_SECONDS = 1.0
_DROPPED = "packets were dropped because their source MAC is no node's"

_OWNERLESS_SECONDS = 1.0
"""The time after which a port without a process behind it counts as none of a node."""


@dataclass(slots=True)
class Attachments:
    """Follows what happens to the ports of a lab, and remembers it.

    Attributes:
        lab_events: incidents become some of these.
        is_off: tells whether a fault has switched a node off, so that it goes and comes back on purpose.
    """

    wiring: Wiring
    links: Links
    members: Members
    wires: Wires
    lab_events: InitVar[Events]
    is_off: Callable[[str], bool] = field(default=lambda _: False)
    distant: DistantAgents = field(init=False)
    _incidents: Incidents = field(init=False)
    _events: PortEvents = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: list[Port] = field(default_factory=list)
    _learned: list[tuple[Side, Learned]] = field(default_factory=list)
    _changed: set[str] = field(default_factory=set)
    _new: NewPorts = field(init=False)
    _returned: set[tuple[str, str]] = field(default_factory=set)
    _excused: dict[str, int] = field(default_factory=dict)
    """By port, packets that were dropped while its node was on its way back from a fault."""

    def __post_init__(self, lab_events: Events) -> None:
        self.distant = DistantAgents(self.wiring, self.links)
        self._incidents = Incidents(lab_events)
        self._new = NewPorts(self.wiring, self.links.steering.rules, self._incidents)
        self._events = PortEvents(self.wiring, self._side_changed, self._node_changed)
        self.links.steering.access.before_opening = self.wires.let_pass
        self.wires.when_removed = lambda port: self._disappeared(port.key)

    async def follow(self) -> None:
        """Follow until cancelled."""
        self._events.hear_side(self.wiring.main)
        self._settled.set()
        try:
            while True:
                with suppress(TimeoutError):
                    wait_s = _SOON_SECONDS if self._new.is_any_starting else _LATER_SECONDS
                    await asyncio.wait_for(self._wake.wait(), wait_s)
                self._wake.clear()
                await self._act()
                if not self._wake.is_set() and not self._new.is_any_starting:
                    self._settled.set()
        finally:
            self.distant.close()
            self._events.close()

    async def recognise(self) -> None:
        """Note which ports on open and overlay networks belong to no node, to leave them alone.

        Raises:
            LabError: `docker-engine-unknown`, `docker-engine-silent`.
        """
        await self.members.require_engine()
        for side in self.wiring.sides:
            self._events.hear_side(side)
            for device in switch.devices(side.route):
                network, key = self.wiring.bridged(side, device), (side.number, device.index)
                if network is not None and side.number and network not in self.wiring.open_networks:
                    self._new.leave_alone(key, network)  # of an overlay: the driver's ports, and the lab's anchor's
                if network not in self.wiring.open_networks or self.wiring.port_at(key):
                    continue
                if await self.members.is_no_node(DevicePlace(side, device)):
                    self._new.leave_alone(key, network)

    def begin(self) -> None:
        """Look at all ports now that the lab is up, and follow changes in the nodes from now on."""
        for name in self.wiring.nodes:
            self._events.hear_node(name)
        self.look()

    def _node_changed(self, name: str) -> None:
        self._changed.add(name)
        self._stir()

    def look(self) -> None:
        """Compare the kernel's devices with the known ports, and handle each difference like an event."""
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
        """Return what is wrong now, the incidents so far, and how many packets were dropped.

        Args:
            settled: wait a while until what has just happened is dealt with.
        """
        if settled:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), STARTING_SECONDS)
        counted = self.links.steering.rules.dropped()
        dropped = {port: max(0, count - self._excused.get(port, 0)) for port, count in counted.items()}
        absent = self.members.left | {name for name in self.wiring.nodes if self.is_off(name)}
        noted = [f"{port}: {count} {_DROPPED}" for port, count in dropped.items() if count]
        return AttachmentReport(
            problems=(
                *problems(self.wiring, self._new.by_key, self._returned, absent),
                *self.wires.route_problems(),
                *self.distant.problems(),
            ),
            notes=(*closed_ports(self.wiring, self._new.by_key), *noted),
            incidents=self._incidents.latest,
            unknown_dropped=dropped,
        )

    def missing(self, name: str) -> str:
        """Return what a node that has started still lacks, as the end of a sentence; empty if nothing."""
        try:
            self.wiring.node(name)
        except LabError:
            return "has no process"
        if gone := [network for node, network in self.wiring.gone if node == name]:
            return f"is not on {', '.join(gone)} yet"
        if any(port.node == name for key in self._new.by_key if (port := self.wiring.port_at(key))):
            return "its links do not work yet"
        return self.wires.route_problem(name)

    def _side_changed(self, side: Side, messages: list[tuple[int, bytes]] | None) -> None:
        if messages is None:
            self.look()
            return
        for event in switch.events(messages):
            match event:
                case NetworkDevice():
                    self._appeared(side, event)
                case Gone():
                    self._disappeared((side.number, event.index))
                case Learned():
                    self._was_learned(side, event)

    def _appeared(self, side: Side, device: NetworkDevice) -> None:
        if self._new.appeared(side, device):
            self._stir()

    def _disappeared(self, key: DeviceKey) -> None:
        self._new.forget(key)
        if port := self.wiring.port_at(key):
            self.wiring.lose(port)
            self._note_unless_off(port.node, self.wiring.gone[port.node, port.network])
            self._gone.append(port)
            self._stir()

    def _was_learned(self, side: Side, learned: Learned) -> None:
        if sender_macs.is_news(self.wiring, side, learned):
            self._learned.append((side, learned))
            self._stir()

    def _stir(self) -> None:
        self._settled.clear()
        self._wake.set()

    def _note_unless_off(self, node: str, what: str) -> None:
        """Note what has happened to a node, unless a fault has switched it off: it goes and comes on purpose then."""
        if self.is_off(node):
            _log.info(what)
        else:
            self._incidents.note(what)

    async def _act(self) -> None:
        """Handle the events that have arrived. What fails because something changes again is tried after that event."""
        for name in [name for name, node in self.wiring.nodes.items() if node.is_held and node.has_ended]:
            await self._let_go(name)
        await self._take_apart()
        while self._learned:
            if sender := sender_macs.follow_mac(self.wiring, *self._learned.pop(0), self._incidents):
                self._changed.add(sender)
        await self._follow_changed()
        with self._incidents.noting("links with this machine could not follow its addresses"):
            await self.links.follow_addresses()
        try:
            for name in await self.members.notice_departures():
                self._incidents.note(f"node {name} has left its service, which has fewer containers now")
        except LabError as error:
            _log.warning(error.message)
        for key, new in list(self._new.by_key.items()):
            try:
                await self._try_to_attach(key, new)
            except FAILURES as error:
                new.failure = str(error)
        await self._return_wires()
        self.wires.return_routes()

    async def _follow_changed(self) -> None:
        """Adapt links to what has changed in nodes: interfaces, and MACs that they send with."""
        while self._changed:
            name = self._changed.pop()
            if not self.wiring.nodes[name].has_ended:
                with self._incidents.noting(f"the links of node {name} could not be adapted to what changed in it"):
                    await sender_macs.follow_node(self.wiring, self.links, name)
                for port in [port for place, port in self.wiring.ports.items() if place[0] == name]:
                    await self._tell(port)

    async def _return_wires(self) -> None:
        """Connect the containers that have started again. Their ports are closed before they are switched on."""
        for name in self.wires.lost():
            try:
                ports = await self.wires.connect(name)
                for port in ports:
                    self._appeared(self.wiring.main, port)
                self.wires.devices.switch_on(ports)
            except FAILURES as error:  # it is starting, or has ended again: the next round tries again
                _log.debug("node %s has not got its wires back: %s", name, error)

    async def _take_apart(self) -> None:
        """Remove the links to ports that have gone."""
        while self._gone:
            port = self._gone.pop()
            with self._incidents.noting(f"the links to {port} could not be taken apart"):
                await self.links.detach(port)
            await self._tell(port)

    async def _let_go(self, name: str) -> None:
        """Close all that the agent holds of a namespace that has lost its name or its process."""
        number = self.wiring.nodes[name].number
        self._events.ignore_node(name)
        for place, port in self.wiring.ports.items():
            if place not in self.wiring.gone and (port.node == name or port.side.number == number):
                self._disappeared(port.key)
        await self._take_apart()
        if side := self.wiring.elsewhere.pop(number, None):
            self._events.ignore_side(number)
            await self.links.leave(side)
            side.close()
        self.wiring.release(name)

    async def _try_to_attach(self, key: DeviceKey, new: NewPort) -> None:
        """Make the links of a new port work, as soon as its owner is known."""
        if self.wiring.port_at(key) and not new.closed:  # it was heard of while the lab came up
            del self._new.by_key[key]
            return
        (device,) = switch.devices(new.side.route, key[1])
        if not device.connected:
            return
        port = self.wiring.port_at(key) or await self.members.owner_of(DevicePlace(new.side, device), new.network)
        if key not in self._new.by_key:
            return  # it has gone while the Docker Engine was asked
        if isinstance(port, Unowned):
            too_long = time.monotonic() - (new.connected or new.since) > _OWNERLESS_SECONDS
            if port is Unowned.NO_NODE or (port is Unowned.UNSEEN and too_long):
                self._new.release(key)
            return
        if port.network in self.wiring.open_networks:  # where it may have any address
            address, *_ = [*addresses(port, self.wiring), port.address]
            port = self.wiring.ports[port.node, port.network] = replace(port, address=address)
            self.members.moved(port.node)
        self.wires.give_addresses(port.node)
        impaired = await self.links.attach(port)
        await self._tell(port)
        self._open(port)
        self._new.by_key.pop(key, None)
        self._returned.add((port.node, port.network))
        self.wires.reroute(port.node)
        self.wires.let_pass(port.network)
        self._events.hear_node(port.node)
        if (port.node, port.network) in self.wiring.expected:
            self.wiring.expected.remove((port.node, port.network))
            took_ms = (time.monotonic() - (new.connected or time.monotonic())) * 1e3
            _log.info("%s: its links work %.1f ms after it was up", port, took_ms)
        elif impaired:
            what = f"node {port.node} was attached to network {port.network} again: its links began anew"
            self._note_unless_off(port.node, what)
        passed = new.passed if new.closed else device.sent + device.received
        if impaired and passed:
            self._incidents.note(
                f"{passed} packets reached or left {port} without impairments, before its links were ready"
            )

    async def _tell(self, port: Port) -> None:
        """Have the agents on other machines know how a node sends, or that it is gone."""
        has_gone = port.place in self.wiring.gone
        silent = await self.distant.tell(port, has_gone=has_gone)
        for machine in () if has_gone else silent:
            self._incidents.note(
                f"the agent on machine {machine} did not confirm the MACs of node {port.node} on network "
                f"{port.network}: there, packets of {port.node} may pass without impairments"
            )

    def _open(self, port: Port) -> None:
        """Open the port of a node; what came meanwhile is no incident if a fault has switched the node off."""
        rules = self.links.steering.rules
        rules.open(port.key)
        if self.is_off(port.node):
            self._excused[str(port)] = rules.dropped().get(str(port), 0)
