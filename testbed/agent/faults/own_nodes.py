"""Controls nodes of namespaces that the agent has made itself.

A paused node has all of its processes stopped (SIGSTOP), in one step, by the first process of its pid namespace. One
that is off has no process, and its ports are down: its interfaces have no carrier, as those of a machine without power,
so that its kernel answers nothing.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import device_requests
from testbed.agent.faults import clocks, disks
from testbed.agent.faults.disks import Disks
from testbed.agent.faults.names import Names
from testbed.errors import LabError, MachineError
from testbed.linux import cgroups, clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.agent.node_commands import NodeCommands
    from testbed.agent.node_groups import NodeGroups
    from testbed.agent.nodes import NodeNamespaces
    from testbed.agent.wiring import Wiring
    from testbed.faults import NameFault


class OwnNodeControl:
    """See `NodeControl`."""

    def __init__(self, wiring: Wiring, commands: NodeCommands, groups: NodeGroups) -> None:
        """Control the nodes of a lab."""
        self._wiring = wiring
        self._commands = commands
        self._groups = groups
        self._names = Names(wiring)
        self._disks = Disks()

    async def pause(self, node: str) -> int:
        """See `NodeControl`."""
        self._require_own(node)
        await self._commands.pause(node)
        return time.monotonic_ns()

    async def unpause(self, node: str) -> int:
        """See `NodeControl`."""
        await self._commands.unpause(node)
        return time.monotonic_ns()

    async def stop(self, node: str) -> int:
        """See `NodeControl`."""
        self._require_own(node)
        await self._commands.ask_to_end(node)
        return await self._switch_off(node)

    async def kill(self, node: str, number: int) -> int:
        """See `NodeControl`."""
        self._require_own(node)
        if number == signal.SIGKILL:
            return await self._switch_off(node)
        self._commands.signal(node, number)
        return time.monotonic_ns()

    async def start(self, node: str) -> int:
        """See `NodeControl`. Its network was kept, so its links work as soon as its ports are up."""
        self._switch_ports(node, on=True)
        await self._commands.launch_again(node)
        return time.monotonic_ns()

    async def set_clock(self, node: str, offset_ns: int, drift_ppb: int) -> int:
        """See `NodeControl`."""
        path = self._wiring.node(node).environment.get(clock.VARIABLE)
        if not path:
            raise clocks.without_one(node)
        return clocks.shift(node, Path(path), offset_ns, drift_ppb)

    async def throttle(self, node: str, cpus_milli: int) -> int:
        """See `NodeControl`. Endpoints are throttled too."""
        self._require_own(node)
        if cpus_milli:
            group = self._groups.of(node, "cpu")
            cgroups.limit_cpus(group, cpus_milli)
            self._groups.fill(node, group)
        else:
            self._groups.free(node)
        return time.monotonic_ns()

    async def set_names(self, node: str, wrong: Mapping[str, NameFault]) -> int:
        """See `NodeControl`. What is set outlasts that the node is off, for so does its network."""
        found, hosts, resolver = self._lookups_of(node)
        return await self._names.set(found, wrong, hosts, resolver)

    async def prepare_names(self, node: str) -> None:
        """See `NodeControl`."""
        await self._names.prepare(*self._lookups_of(node))

    async def release_names(self, node: str) -> None:
        """See `NodeControl`."""
        await self._names.release(node)

    def _lookups_of(self, node: str) -> tuple[NodeNamespaces, Callable[[int], int], str]:
        """Return a node, what opens its /etc/hosts, and the text of its /etc/resolv.conf."""
        self._require_own(node)
        found = self._wiring.node(node)
        if (hosts := found.hosts) is None:
            raise LabError("dns-not-changed", f"node {node} has no /etc/hosts of its own")
        hosts.write()
        text = found.resolver.own if found.resolver else _machines_resolver()
        return found, lambda flags: os.open(hosts.path, flags), text

    async def fill_disk(self, node: str, path: str, *, full: bool) -> int:
        """See `NodeControl`."""
        self._require_own(node)
        if full:
            self._disks.fill(node, await self._commands.first_process(node), path)
        else:
            self._disks.empty(node, path)
        return time.monotonic_ns()

    async def slow_disk(self, node: str, path: str, bytes_per_s: int) -> int:
        """See `NodeControl`. What a node writes is in memory, but in volumes; the machine's files are on its disk."""
        self._require_own(node)
        if bytes_per_s:
            device = disks.disk_at(node, await self._commands.first_process(node), path, path)
            group = self._groups.of(node, "io")
            self._disks.slow(node, path, device, bytes_per_s, group)
            self._groups.fill(node, group)
        elif device := self._disks.slowed(node, path):
            self._disks.slow(node, path, device, 0, self._groups.of(node, "io"))
            if not self._disks.is_slow(node):
                self._groups.give_up(node, "io")
        return time.monotonic_ns()

    def close(self) -> None:
        """See `NodeControl`."""
        self._groups.close()

    async def _switch_off(self, node: str) -> int:
        await self._commands.kill_all(node)
        self._disks.forget(node)  # they are mounted for its processes
        self._switch_ports(node, on=False)
        return time.monotonic_ns()

    def _switch_ports(self, node: str, *, on: bool) -> None:
        own = [port.index for port in self._wiring.ports.values() if port.node == node]
        self._wiring.route.send([device_requests.state(index, is_up=on) for index in own])

    def _require_own(self, node: str) -> None:
        if self._wiring.node(node).path:
            message = f"node {node} is a network namespace that the lab did not make, whose processes are not the lab's"
            raise MachineError("not-controlled", message, "leave its events out, or let the lab make the node")


def _machines_resolver() -> str:
    """Return the text of the machine's resolv.conf, which nodes without their own have; empty if there is none."""
    with suppress(FileNotFoundError):
        return Path("/etc/resolv.conf").read_text("utf-8", "replace")
    return ""
