"""The agent's listener: connections, and the calls that come over them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from typing import TYPE_CHECKING, Any

from testbed import logs
from testbed.agent import (
    adoption,
    awaited,
    creation,
    distances,
    link_sampling,
    messages,
    nat_probe,
    nodes,
    packet_filters,
    probes,
    protocol,
    routes,
    sockets,
    timeline,
)
from testbed.agent.connection import ServerConnection, accepted
from testbed.agent.faults import ContainerControl, NodeControl, NodeFaults, OwnNodeControl
from testbed.agent.journal import JOURNAL
from testbed.agent.lab_reports import LabReports
from testbed.agent.node_commands import PROCESS_CALLS, NodeCommands
from testbed.agent.node_groups import NodeGroups
from testbed.errors import LabError, TestbedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from testbed.agent.attachments import Attachments
    from testbed.agent.lab_events import Events
    from testbed.agent.links import Links
    from testbed.agent.way_out import WayOut
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)


_FREQUENT = (
    messages.Accepts,
    messages.HttpStatus,
    messages.ReadAttachments,
    messages.Sockets,
    messages.ReadState,
    messages.Statistics,
    messages.UdpBound,
)
"""Calls that come many times a second; they are logged where everything is."""

_AT_ONCE = (
    messages.Hello,
    messages.Recall,
    messages.ReadClock,
    messages.HttpStatus,
    messages.Distances,
    messages.StopCommands,
    messages.ProbeNat,
    messages.BringAbout,
    messages.HealNodes,
)
"""Calls that wait for no other: the agent may be busy or stuck when they come, or they take long."""


class AgentServer:
    """Carries out all calls of the protocol, for one lab."""

    def __init__(  # what a lab is made of
        self,
        lab: str,
        wiring: Wiring,
        links: Links,
        attachments: Attachments,
        directory: Path,
        *,
        events: Events,
        isolated: bool,
        way_out: WayOut | None = None,
    ) -> None:
        self._wiring = wiring
        self._links = links
        self._attachments = attachments
        self._directory = directory
        self._events = events
        self._way_out = way_out
        self._isolated = isolated
        self._commands = NodeCommands(wiring, directory, isolated=isolated)
        self._groups = NodeGroups(lab, self._commands, directory / JOURNAL)
        control: NodeControl = (
            OwnNodeControl(wiring, self._commands, self._groups)
            if isolated
            else ContainerControl(wiring, self._commands, attachments, links.journal)
        )
        self.node_faults = NodeFaults(control, events)
        attachments.is_off = self.node_faults.is_off
        self.reports = LabReports(lab, wiring, links, attachments, self._commands, self.node_faults, events, way_out)
        self._owners: dict[str, dict[int, sockets.Owner]] = {}
        self._nats = packet_filters.Nats(wiring)
        self._exclusive = asyncio.Lock()
        self.ended = asyncio.Event()
        handlers: dict[type[messages.Call[Any]], Callable[[Any], Awaitable[object]]] = {
            messages.Hello: self.reports.hello,
            messages.ReadClock: self._clock,
            messages.Create: self._create,
            messages.Adopt: self._adopt,
            messages.Await: self._await,
            messages.Meet: attachments.distant.meet,
            messages.Launch: self._commands.launch,
            messages.Accepts: self._accepts,
            messages.UdpBound: self._udp_bound,
            messages.NextHops: self._next_hops,
            messages.HttpStatus: self._http_status,
            messages.Distances: lambda call: distances.measure(self._wiring.main, call),
            messages.StopCommands: self._commands.stop,
            messages.Look: self._look,
            messages.Reaches: self._reaches,
            messages.ReadAttachments: self._report,
            messages.Impair: self._impair,
            messages.RestartAllLinks: lambda call: self._links.restart(call.origin_ns),
            messages.BringAbout: self._bring_about,
            messages.HealNodes: lambda _: self.node_faults.heal_all(),
            messages.ReadState: self.reports.state,
            messages.Statistics: self.reports.statistics,
            messages.Sockets: self._sockets,
            messages.ProbeNat: self._probe_nat,
            messages.Remember: self.reports.remember,
            messages.Recall: self.reports.recall,
            messages.Shutdown: self._shutdown,
        }
        conversations: dict[type[messages.Call[None]], Callable[[ServerConnection, Any], Awaitable[None]]] = {
            messages.PlayTimeline: lambda client, call: timeline.carry_out(
                client, call, self._change, self.node_faults
            ),
            messages.Follow: events.tell,
            messages.AnnounceRun: events.attend,
            messages.SampleLinks: lambda client, call: link_sampling.record(client, call, links.names, links.counters),
        }
        self._conversations = {kind.call_name(): (kind, converse) for kind, converse in conversations.items()}
        self._handlers = {kind.call_name(): (kind, handler) for kind, handler in handlers.items()}

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until the agent ends."""
        tasks = set()
        while True:
            task = asyncio.create_task(self._attend(await accepted(listener, isolated=self._isolated)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _attend(self, connection: ServerConnection) -> None:
        try:
            while message := await connection.receive():
                name, arguments = message.call or "nothing", message.arguments
                try:
                    if kind := PROCESS_CALLS.get(name):
                        await self._commands.carry_out(connection, protocol.read(arguments, kind, name))
                        return
                    if name == messages.Stay.call_name():
                        protocol.read(arguments, messages.Stay, name)
                        await connection.receive()
                        _log.info("the command that attached the lab has ended, and so does the lab")
                        self.ended.set()
                        return
                    if name in self._conversations:
                        call, converse = self._conversations[name]
                        await converse(connection, protocol.read(arguments, call, name))
                        await connection.send_result(None)
                        return
                    await connection.send_result(await self._call(name, arguments))
                except TestbedError as error:
                    await connection.send(protocol.error_message(error))
                except Exception as error:  # noqa: BLE001  # the client must hear of every failure
                    traceback.print_exc()
                    failed = LabError("agent-failed", f"{name}: {error!r}", "the lab's agent.log says where")
                    await connection.send(protocol.error_message(failed))
        except LabError as error:  # no message: nothing that follows can be understood either
            _log.info("a client was turned away: %s", error.message)
            await connection.send(protocol.error_message(error))
        finally:
            connection.close()

    async def _call(self, name: str, arguments: object) -> object:
        if name not in self._handlers:
            raise LabError(
                "unknown-call", f"this agent knows no call {name!r}", "the agent is of another version of testbed"
            )
        kind, handle = self._handlers[name]
        call = protocol.read(arguments, kind, name)
        if kind in _AT_ONCE:
            return await handle(call)
        async with self._exclusive:
            with logs.timed(_log, name, level=logging.DEBUG if kind in _FREQUENT else logging.INFO):
                return await handle(call)

    async def _clock(self, _: messages.ReadClock) -> int:
        return time.monotonic_ns()

    async def _create(self, call: messages.Create) -> None:
        creation.create(self._wiring, call.networks, call.nodes, call.others, self._directory / "hosts")
        self._nats.know({node.name: node.packet_filter for node in call.nodes})
        if self._way_out:
            await self._way_out.open(call.networks, call.publications, call.name_server)
        for node in call.nodes:
            self._groups.confine(node.name, node.surroundings)
            if node.packet_filter:
                packet_filters.install(self._wiring, node.name, node.packet_filter)
            routes.install(self._wiring.node(node.name), node.routes)

    async def _adopt(self, call: messages.Adopt) -> None:
        adoption.know_distant(self._wiring, call.distant)
        await adoption.adopt(self._wiring, call.networks, call.nodes)
        self._nats.know({node.name: node.packet_filter for node in call.nodes})
        await self._attachments.wires.make(call.wires, call.nodes)
        self._links.steering.introduce_distant(node.name for node in call.nodes)
        await self._attachments.recognise()

    async def _await(self, call: messages.Await) -> None:
        awaited.expect(self._wiring, call.networks, call.nodes)
        await self._attachments.members.require_engine()

    async def _accepts(self, call: messages.Accepts) -> bool:
        return probes.accepts(self._wiring.node(call.node).network, call.address, call.port)

    async def _udp_bound(self, call: messages.UdpBound) -> tuple[str, ...]:
        return probes.udp_bound(self._wiring.node(call.node).network, call.port)

    async def _next_hops(self, call: messages.NextHops) -> dict[str, dict[str, tuple[str, ...]]]:
        return {name: routes.next_hops(self._wiring.node(name), addresses) for name, addresses in call.nodes.items()}

    async def _http_status(self, call: messages.HttpStatus) -> int:
        return await probes.http_status(self._wiring.node(call.node).network, call.address, call.port, call.path)

    async def _reaches(self, call: messages.Reaches) -> bool:
        return probes.reaches(self._wiring.node(call.node).network, call.address)

    async def _look(self, call: messages.Look) -> messages.FoundNamespace:
        node = self._wiring.node(call.node)
        return messages.FoundNamespace(number=os.fstat(node.network).st_ino, addresses=nodes.addresses_of(node))

    async def _report(self, call: messages.ReadAttachments) -> messages.AttachmentReport:
        return await self._attachments.report(settled=call.settled)

    async def _impair(self, call: messages.Impair) -> tuple[messages.ChosenEngine, ...]:
        chosen = await self._links.impair(call.links)
        if self.reports.is_up:
            self._attachments.look()  # a network may have its first link now
        return chosen

    async def _change(
        self,
        changes: Sequence[messages.NewImpairments],
        rebinds: Sequence[str],
        addresses: Sequence[messages.NewNatAddress],
    ) -> tuple[int, int]:
        """Change impaired links, have NATs rebind and give some other addresses.

        Returns:
            When that began and when it was done, ns.
        """
        async with self._exclusive:
            begun_ns = time.monotonic_ns()
            await self._links.change(changes)
            for name in rebinds:
                await self._nats.rebind(name)
                self._events.note("rebind", f"{name}: its NAT has forgotten its mappings", node=name)
            for new in addresses:
                await self._nats.move(new)
                self._events.note("rebind", f"{new.node}: its NAT has the address {new.address} outside", node=new.node)
            return begun_ns, time.monotonic_ns()

    async def _bring_about(self, call: messages.BringAbout) -> messages.Happened:
        times_ns = await asyncio.gather(*map(self.node_faults.carry_out, call.faults))
        return messages.Happened(begun_ns=min(times_ns)[0], done_ns=max(done_ns for _, done_ns in times_ns))

    async def _sockets(self, call: messages.Sockets) -> dict[str, messages.NodeSockets]:
        found = {}
        for name in call.nodes:
            try:
                node = self._wiring.node(name)
            except LabError:
                continue
            found[name] = sockets.sockets_of(node.network, self._owners.setdefault(name, {}))
        return found

    async def _probe_nat(self, call: messages.ProbeNat) -> messages.NatObservation:
        return await nat_probe.observe(self._wiring, call)

    async def _shutdown(self, _: messages.Shutdown) -> None:
        self.ended.set()
