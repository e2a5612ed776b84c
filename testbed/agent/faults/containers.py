"""Controls nodes that are containers, through the Docker Engine, and with them what the agent runs in them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent.faults import clocks, disks, freezer
from testbed.agent.faults.disks import Disks
from testbed.agent.faults.names import Names
from testbed.agent.journal import (
    ContainerGoesOn,
    ContainerOff,
    ContainerOn,
    ContainerPaused,
    ContainerThrottled,
    ContainerUnthrottled,
)
from testbed.agent.tasks import cancelled
from testbed.errors import LabError, MachineError, unknown_node
from testbed.linux import cgroups, clock, roots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.agent.attachments import Attachments
    from testbed.agent.docker_engine import LocalDockerEngine
    from testbed.agent.journal import Journal
    from testbed.agent.journal.entries import Entry
    from testbed.agent.node_commands import NodeCommands
    from testbed.agent.nodes import NodeNamespaces
    from testbed.agent.wiring import Wiring
    from testbed.faults import NameFault

_STOPPING_SECONDS = 10
"""In which a program ends after its stop signal, as Docker Compose's `stop_grace_period`."""

_BACK_SECONDS = 20.0
"""In which the links of a container that has started work again; it takes tenths of a second."""

_POLL_SECONDS = 0.01

_PERIOD_US = 100_000
"""In which a throttled container may use its quota of CPU time: the kernel's default."""


class ContainerControl:
    """See `NodeControl`."""

    def __init__(self, wiring: Wiring, commands: NodeCommands, attachments: Attachments, book: Journal | None) -> None:
        """Control containers.

        Args:
            wiring: of the lab.
            commands: what the agent runs in nodes.
            attachments: of nodes to their networks; they know the Docker Engine, if the agent has its socket.
            book: where what happens to containers of others is written down, which must not outlast the agent.
        """
        self._engine = attachments.members.engine
        self._wiring = wiring
        self._commands = commands
        self._attachments = attachments
        self._book = book
        self._cpus_before: dict[str, dict[str, int]] = {}
        self._names = Names(wiring)
        self._disks = Disks()

    async def pause(self, node: str) -> int:
        """See `NodeControl`."""
        await self._commands.pause(node)
        engine, container = self._engine_of(node)
        try:
            self._note(ContainerPaused(container=container, engine=engine.socket))
            ordered = asyncio.create_task(self._order(node, "pause"))
            paused_ns = await freezer.changed_ns(self._wiring.nodes[node].pid, ordered, frozen=True)
            await ordered
        except BaseException:
            await self._commands.unpause(node)
            raise
        return paused_ns

    async def unpause(self, node: str) -> int:
        """See `NodeControl`."""
        self._engine_of(node)  # requires that the node is there
        ordered = asyncio.create_task(self._order(node, "unpause"))
        await freezer.changed_ns(self._wiring.nodes[node].pid, ordered, frozen=False)
        if ordered.done():
            ordered.result()  # if the order has failed, the node is still paused
        await self._commands.unpause(node)
        going_on_ns = time.monotonic_ns()
        await ordered
        self._note(ContainerGoesOn(container=self._wiring.nodes[node].container))
        return going_on_ns

    async def stop(self, node: str) -> int:
        """See `NodeControl`."""
        self._note_off(node)
        await self._order(node, f"stop?t={_STOPPING_SECONDS}")
        self._disks.forget(node)
        await self._commands.kill_all(node)
        return time.monotonic_ns()

    async def kill(self, node: str, number: int) -> int:
        """See `NodeControl`. The Docker Engine does not start the container again, whatever its `restart` says."""
        if number != signal.SIGKILL:
            await self._order(node, f"kill?signal={number}")
            return time.monotonic_ns()
        self._disks.forget(node)
        self._note_off(node)
        ordered = asyncio.create_task(self._order(node, f"kill?signal={number}"))
        await self._end_of(node, ordered)  # the Docker Engine then takes its network apart, which takes it 300 ms
        ended_ns = time.monotonic_ns()
        if ordered.done():
            ordered.result()  # if the order has failed, the node is not off
        await self._commands.kill_all(node)
        await ordered
        return ended_ns

    async def _end_of(self, node: str, ordered: asyncio.Task[None]) -> None:
        """Wait until the first process of a container has ended, or the order to kill it has failed."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        first_process = os.dup(self._wiring.nodes[node].first_process)  # wires may wait for it too, by its number
        loop.add_reader(first_process, ended.set)
        waiting = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait([waiting, ordered], return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(first_process)
            os.close(first_process)
            await cancelled(waiting)

    async def start(self, node: str) -> int:
        """See `NodeControl`."""
        await self._order(node, "start")
        self._note(ContainerOn(container=self._wiring.nodes[node].container))
        await self._commands.launch_again(node)
        deadline = time.monotonic() + _BACK_SECONDS
        while why := self._attachments.missing(node):
            if time.monotonic() > deadline:
                said = f"node {node} has started, and {why}"
                raise LabError("node-not-back", said, "the lab's agent.log may say why")
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic_ns()

    async def set_clock(self, node: str, offset_ns: int, drift_ppb: int) -> int:
        """See `NodeControl`. The file is written where the container's first process sees it."""
        self._engine_of(node)  # requires that the node is there
        path = Path(f"/proc/{self._wiring.nodes[node].pid}/root", clock.SHIFT_IN_CONTAINERS.lstrip("/"))
        return clocks.shift(node, path, offset_ns, drift_ppb)

    async def throttle(self, node: str, cpus_milli: int) -> int:
        """See `NodeControl`. Endpoints are throttled too if they are in the container's cgroups."""
        engine, container = self._engine_of(node)
        before = self._cpus_before.get(node)
        if before is None:
            before = self._cpus_before[node] = await engine.cpu_limits(container)
        if not cpus_milli:
            await engine.update(container, before)
            self._note(ContainerUnthrottled(container=container))
            return time.monotonic_ns()
        self._note(ContainerThrottled(container=container, engine=engine.socket, limits=before))
        if "NanoCpus" in before:
            limits = {"NanoCpus": cpus_milli * 1_000_000}
        else:
            limits = {"CpuPeriod": _PERIOD_US, "CpuQuota": cpus_milli * _PERIOD_US // 1000}
        await engine.update(container, limits)
        return time.monotonic_ns()

    def _note(self, entry: Entry) -> None:
        """Write in the journal what is about to happen to a node's container, or is over, unless it is the lab's."""
        if self._book and self._wiring.open_networks:
            self._book.write(entry)

    def _note_off(self, node: str) -> None:
        engine, container = self._engine_of(node)
        self._note(ContainerOff(container=container, engine=engine.socket))

    async def set_names(self, node: str, wrong: Mapping[str, NameFault]) -> int:
        """See `NodeControl`. What is set ends with the container, whose network then is another one."""
        self._require_own(node)
        if self._wiring.nodes[node].has_ended and not wrong:
            await self._names.forget(node)
            return time.monotonic_ns()
        found, hosts, resolver = self._lookups_of(node)
        return await self._names.set(found, wrong, hosts, resolver)

    async def prepare_names(self, node: str) -> None:
        """See `NodeControl`."""
        self._require_own(node)
        await self._names.prepare(*self._lookups_of(node))

    async def release_names(self, node: str) -> None:
        """See `NodeControl`."""
        await self._names.release(node)

    def _lookups_of(self, node: str) -> tuple[NodeNamespaces, Callable[[int], int], str]:
        """Return a node, what opens its /etc/hosts, and the text of its /etc/resolv.conf."""
        found = self._wiring.node(node)
        with os.fdopen(roots.open_in(found.pid, "/etc/resolv.conf", os.O_RDONLY), encoding="utf-8") as file:
            text = file.read()
        return found, lambda flags: roots.open_in(found.pid, "/etc/hosts", flags), text

    async def fill_disk(self, node: str, path: str, *, full: bool) -> int:
        """See `NodeControl`. A file system in memory ends with the container."""
        self._require_own(node)
        if full:
            self._disks.fill(node, self._wiring.node(node).pid, path)
        else:
            self._disks.empty(node, path)
        return time.monotonic_ns()

    async def slow_disk(self, node: str, path: str, bytes_per_s: int) -> int:
        """See `NodeControl`. A limit ends with the container."""
        self._require_own(node)
        if bytes_per_s:
            pid = self._wiring.node(node).pid
            device = disks.disk_at(node, pid, path)
            self._disks.slow(node, path, device, bytes_per_s, cgroups.io_group(Path(f"/proc/{pid}")))
        elif (device := self._disks.slowed(node, path)) and not self._wiring.nodes[node].has_ended:
            group = cgroups.io_group(Path(f"/proc/{self._wiring.node(node).pid}"))
            self._disks.slow(node, path, device, 0, group)
        return time.monotonic_ns()

    def close(self) -> None:
        """See `NodeControl`. Nothing was made."""

    def _require_own(self, node: str) -> None:
        """Require that a node is the lab's: what would outlast a killed agent in it goes with the lab."""
        self._engine_of(node)  # requires that the node is there
        if self._wiring.open_networks:
            message = f"node {node} is a container that the lab did not make, whose names and disks faults leave alone"
            raise MachineError("not-controlled", message, "leave its event out, or let the lab make the node")

    async def _order(self, node: str, what: str) -> None:
        engine, container = self._engine_of(node)
        await engine.order(container, what)

    def _engine_of(self, node: str) -> tuple[LocalDockerEngine, str]:
        """Return the Docker Engine, and the id of the container that a node is."""
        if node not in self._wiring.nodes:
            raise unknown_node(node, self._wiring.nodes)
        if self._engine is None:
            message = f"node {node} is a container, and the agent has no Docker Engine's socket to control it by"
            raise MachineError("not-controlled", message, "run the testbed as root where the Docker Engine runs")
        return self._engine, self._wiring.nodes[node].container
