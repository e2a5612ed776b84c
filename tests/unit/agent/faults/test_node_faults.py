"""Faults of nodes that come at the same time, with a control whose steps the test ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.agent.faults import NodeFaults
from testbed.agent.lab_events import Events
from testbed.errors import LabError
from testbed.faults import NameFails, Pause, State, Throttle, Unpause


class Control:
    """Carries out a step when the test lets it, and fails if it is told to."""

    def __init__(self):
        self.steps = []
        self.may_go_on = asyncio.Event()
        self.failure = None

    async def release_names(self, node):
        """It is no step: what it ends was made before all of them."""

    def __getattr__(self, step):
        async def carry_out(*of):
            self.steps.append((step, *of))
            await self.may_go_on.wait()
            if self.failure:
                failure, self.failure = self.failure, None
                raise failure
            return 1

        return carry_out


async def healed_during(fault, *, after=(), failure=None):
    """The state of node `a` when it is healed while a fault is in progress, and the steps that were taken for all."""
    control: Any = Control()
    node_faults = NodeFaults(control, Events())
    control.may_go_on.set()
    for each in after:
        await node_faults.carry_out(each)
    control.may_go_on.clear()
    control.failure = failure
    begun = asyncio.create_task(node_faults.carry_out(fault))
    await asyncio.sleep(0)
    healing = asyncio.create_task(node_faults.heal_all())
    await asyncio.sleep(0)
    control.may_go_on.set()
    await asyncio.gather(begun, return_exceptions=True)
    await healing
    return node_faults.state("a"), [step for step, *_ in control.steps]


@pytest.mark.parametrize(
    ("fault", "after", "failure", "steps"),
    [
        (Pause(node="a"), (), None, ["pause", "unpause"]),
        (Pause(node="a"), (), LabError("docker-refused", "no"), ["pause"]),
        (Unpause(node="a"), (Pause(node="a"),), None, ["pause", "unpause"]),
        (Throttle(node="a", cpus_milli=100), (), None, ["throttle", "throttle"]),
    ],
)
def test_a_node_is_healed_of_what_a_fault_in_progress_leaves(fault, after, failure, steps):
    assert asyncio.run(healed_during(fault, after=after, failure=failure)) == (State.RUNNING, steps)


def test_what_can_not_be_undone_keeps_nothing_else_from_it():
    async def both():
        control: Any = Control()
        control.may_go_on.set()
        node_faults = NodeFaults(control, Events())
        for fault in (Throttle(node="a", cpus_milli=100), Pause(node="a"), Pause(node="b")):
            await node_faults.carry_out(fault)
        control.failure = LabError("docker-refused", "no")
        with pytest.raises(LabError, match="docker-refused"):
            await node_faults.heal(["a", "b"])
        return control.steps[3:], node_faults.held()

    steps, held = asyncio.run(both())
    assert sorted(steps) == [("throttle", "a", 0), ("unpause", "a"), ("unpause", "b")]
    assert held == {"a": "paused"}


def test_what_faults_of_names_need_is_made_ready_once_and_ends_with_healing():
    ended = []

    class Preparing(Control):
        async def release_names(self, node):
            ended.append(node)

    async def carry_out():
        control: Any = Preparing()
        control.may_go_on.set()
        node_faults = NodeFaults(control, Events())
        coming = [NameFails(node="a", name=name, how="nxdomain") for name in "xy"]
        await node_faults.prepare([Pause(node="b"), *coming])
        assert control.steps == [("prepare_names", "a")]
        await node_faults.carry_out(coming[0])
        assert ended == []
        await node_faults.heal(["a"])
        assert control.steps[1:] == [("set_names", "a", {"x": coming[0]}), ("set_names", "a", {})]

    asyncio.run(carry_out())
    assert ended == ["a"]
