"""Carries out faults of nodes, and keeps the state that they have given each node."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from testbed import faults
from testbed.errors import LabError, TestbedError
from testbed.faults import SetClock, State, Throttle

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.agent.events import Events
    from testbed.agent.faults.control import NodeControl
    from testbed.faults import Fault

    _Step = SetClock | Throttle | faults.Pause | faults.Unpause | faults.Stop | faults.Kill | faults.Start

_log = logging.getLogger(__name__)


class NodeFaults:
    """The faults of a lab's nodes.

    Attributes:
        paused: the nodes that faults have paused since the lab came up, whether or not they still are.
    """

    def __init__(self, control: NodeControl, events: Events) -> None:
        self._control = control
        self._events = events
        self._states: dict[str, State] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._lasting: dict[tuple[type[Throttle | SetClock], str], Throttle | SetClock] = {}
        self.paused: set[str] = set()

    def state(self, node: str) -> State:
        """Return the state that faults have given a node."""
        return self._states.get(node, State.RUNNING)

    def is_off(self, node: str) -> bool:
        """Whether a node is off, or has not come back yet, because of a fault."""
        return self.state(node) is State.STOPPED

    def held(self) -> dict[str, str]:
        """Return the nodes that faults keep from running, each with how: `paused` or `stopped`."""
        return {node: state.value for node, state in self._states.items() if state is not State.RUNNING}

    async def carry_out(self, fault: Fault) -> tuple[int, int]:
        """Carry out a fault; those of one node happen one after the other.

        Returns:
            When it began and when it was done, ns of the monotonic clock.

        Raises:
            TestbedError: the node can't be controlled so; `contradicting-fault`, its state forbids it.
        """
        async with self._turns[fault.node]:
            return await self._carry_out(fault)

    async def _carry_out(self, fault: Fault) -> tuple[int, int]:
        """Carry out a fault, as `carry_out` does, when it is the node's turn."""
        begun_ns, before = time.monotonic_ns(), self.state(fault.node)
        if why := faults.contradiction(before, fault):
            raise LabError("contradicting-fault", f"node {fault.node} {why}", "testbed ps shows how nodes are")
        # What ends by the fault is known to end on purpose from its beginning on, and until the node is back.
        meanwhile = State.STOPPED if isinstance(fault, faults.Restart) else faults.after(before, fault)
        self._states[fault.node] = before if meanwhile is State.RUNNING else meanwhile
        if isinstance(fault, faults.Pause):
            self.paused.add(fault.node)
        self._events.note("fault-begun", str(fault), node=fault.node, times_ns=(None, begun_ns))
        done_ns, reached = begun_ns, before
        try:
            for step in _steps(fault, before):
                done_ns = await self._do(step)
                reached = faults.after(reached, step)
        except BaseException as error:
            self._states[fault.node] = reached
            why = error.message if isinstance(error, TestbedError) else repr(error)
            self._events.note("fault-failed", f"{fault}: {why}", node=fault.node, times_ns=(begun_ns, None))
            raise
        self._states[fault.node] = reached
        self._events.note("fault-done", str(fault), node=fault.node, times_ns=(begun_ns, done_ns))
        _log.info("%s, in %.3f ms", fault, (done_ns - begun_ns) / 1e6)
        return begun_ns, done_ns

    async def _do(self, fault: _Step) -> int:
        control = self._control
        match fault:
            case faults.Pause():
                return await control.pause(fault.node)
            case faults.Unpause():
                return await control.unpause(fault.node)
            case faults.Kill():
                return await control.kill(fault.node, fault.signal)
            case faults.Stop():
                return await control.stop(fault.node)
            case faults.Start():
                return await control.start(fault.node)
            case Throttle() | SetClock():
                return await self._do_lasting(fault)

    async def _do_lasting(self, fault: Throttle | SetClock) -> int:
        """Carry out a fault that lasts until another one replaces it, and remember how to undo it."""
        if isinstance(fault, Throttle):
            done_ns = await self._control.throttle(fault.node, fault.cpus_milli)
        else:
            done_ns = await self._control.set_clock(fault.node, fault.offset_ns, fault.drift_ppb)
        place = type(fault), fault.node
        self._lasting.pop(place, None)
        if (neutral := type(fault).neutral(fault.node)) != fault:
            self._lasting[place] = neutral
        return done_ns

    async def heal(self, nodes: Collection[str]) -> None:
        """Make nodes run again, with the CPU time and the clock that they had at first.

        Raises:
            TestbedError: one of them does not; the others do.
        """
        healed = await asyncio.gather(*map(self._heal, nodes))
        failed = [error for errors in healed for error in errors]
        for error in failed:
            if not isinstance(error, TestbedError):
                raise error
        if failed:
            raise failed[0]

    async def _heal(self, node: str) -> list[BaseException]:
        """Undo what faults have done to a node, when those in progress have ended; return the errors."""
        failed: list[BaseException] = []
        async with self._turns[node]:
            running = faults.undoing(node, self.state(node))  # first: a node that is off has no clock
            lasting = [fault for (_, other), fault in self._lasting.items() if other == node]
            for fault in [running, *lasting] if running else lasting:
                try:
                    await self._carry_out(fault)
                except Exception as error:  # noqa: BLE001  # the rest is undone nevertheless; `heal` raises it
                    failed.append(error)
        return failed

    async def heal_all(self) -> None:
        """Make all nodes that faults have disturbed run again, also those that faults in progress disturb.

        Raises:
            TestbedError: as `heal`.
        """
        await self.heal({*self._turns})


def _steps(fault: Fault, before: State) -> list[_Step]:
    """Return what is done for a fault, one after the other: if one of these fails, the node is as those before left it.

    Args:
        fault: of a node.
        before: what earlier faults have made of that node.
    """
    steps: list[_Step] = []
    if before is State.PAUSED and isinstance(fault, faults.Stop | faults.Restart):
        steps.append(faults.Unpause(node=fault.node))  # a program that stands still could not end
    if not isinstance(fault, faults.Restart):
        return [*steps, fault]
    if before is not State.STOPPED:
        steps.append(faults.Stop(node=fault.node))
    return [*steps, faults.Start(node=fault.node)]
