"""Controls nodes of namespaces that the agent has made itself.

A paused node has all of its processes stopped (SIGSTOP), in one step, by the first process of its pid namespace. One
that is off has no process, and its ports are down: its interfaces have no carrier, as those of a machine without power,
so that its kernel answers nothing.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import device_requests
from testbed.agent.faults import clocks
from testbed.errors import MachineError
from testbed.linux import clock

if TYPE_CHECKING:
    from testbed.agent.node_commands import NodeCommands
    from testbed.agent.wiring import Wiring


class OwnNodeControl:
    """See `NodeControl`."""

    def __init__(self, wiring: Wiring, commands: NodeCommands) -> None:
        self._wiring = wiring
        self._commands = commands

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
        """See `NodeControl`. Refuses: namespaces have no limits of their own."""
        message = f"node {node} is made of namespaces, whose CPU time can't be limited to {cpus_milli / 1000:g} cores"
        raise MachineError("no-limits", message, "use --runtime docker")

    async def _switch_off(self, node: str) -> int:
        await self._commands.kill_all(node)
        self._switch_ports(node, on=False)
        return time.monotonic_ns()

    def _switch_ports(self, node: str, *, on: bool) -> None:
        own = [port.index for port in self._wiring.ports.values() if port.node == node]
        self._wiring.route.send([device_requests.state(index, is_up=on) for index in own])

    def _require_own(self, node: str) -> None:
        if self._wiring.node(node).path:
            message = f"node {node} is a network namespace that the lab did not make, whose processes are not the lab's"
            raise MachineError("not-controlled", message, "leave its events out, or let the lab make the node")
