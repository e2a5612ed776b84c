"""Carries out faults of nodes, and keeps the state that they have given each node."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from testbed import faults
from testbed.errors import LabError, TestbedError
from testbed.faults import FillDisk, NameFault, SetClock, SlowDisk, State, Throttle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testbed.agent.faults.control import NodeControl
    from testbed.agent.lab_events import Events
    from testbed.faults import AnySetting, Fault

    _Step = AnySetting | faults.Pause | faults.Unpause | faults.Stop | faults.Kill | faults.Start

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
        self._settings = faults.InForce()
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
                if isinstance(step, faults.Start):
                    await self._set_again(step.node)
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
            case _:
                done_ns = await self._set(fault)
                self._settings.note(fault)
                return done_ns

    async def _set_again(self, node: str) -> None:
        """Apply again the settings that a node has lost while it was off: all but its clock and its CPU time."""
        for setting in self._settings.of({node}):
            if isinstance(setting, NameFault | FillDisk | SlowDisk):
                await self._set(setting)

    async def _set(self, setting: AnySetting) -> int:
        control = self._control
        match setting:
            case Throttle():
                return await control.throttle(setting.node, setting.cpus_milli)
            case SetClock():
                return await control.set_clock(setting.node, setting.offset_ns, setting.drift_ppb)
            case NameFault():
                return await control.set_names(setting.node, self._wrong_names(setting))
            case FillDisk():
                return await control.fill_disk(setting.node, setting.path, full=setting.full)
            case SlowDisk():
                return await control.slow_disk(setting.node, setting.path, setting.bytes_per_s)

    def _wrong_names(self, setting: NameFault) -> dict[str, NameFault]:
        """Return what is wrong with names for a node, by name, when a setting is in force too."""
        known = [each for each in self._settings.of({setting.node}) if isinstance(each, NameFault)]
        by_name = {each.name.lower(): each for each in [*known, setting]}
        return {name: each for name, each in by_name.items() if not each.is_neutral}

    async def prepare(self, coming: Iterable[Fault]) -> None:
        """Prepare what takes long, for faults that are due at given times; `heal` undoes that.

        Raises:
            TestbedError: a node can't be controlled so.
        """
        for node in dict.fromkeys(fault.node for fault in coming if isinstance(fault, NameFault)):
            async with self._turns[node]:
                await self._control.prepare_names(node)

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
            lasting = self._settings.undoing({node})
            for fault in [running, *lasting] if running else lasting:
                try:
                    await self._carry_out(fault)
                except Exception as error:  # noqa: BLE001  # the rest is undone nevertheless; `heal` raises it
                    failed.append(error)
            await self._control.release_names(node)
        return failed

    async def heal_all(self) -> None:
        """Make all nodes that faults have disturbed run again, also those that faults in progress disturb.

        Raises:
            TestbedError: as `heal`.
        """
        await self.heal({*self._turns})

    def close(self) -> None:
        """Remove what was made for faults outside of the nodes."""
        self._control.close()


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
