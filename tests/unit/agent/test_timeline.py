"""A timeline carried out for a client: when, told how, and undone at its end."""

import asyncio
import socket
import time
from typing import Any

import pytest

from testbed.agent import client_connection, timeline
from testbed.agent.connection import ServerConnection
from testbed.agent.faults import NodeFaults
from testbed.agent.lab_events import Events
from testbed.agent.messages import NewImpairments, PlayTimeline, Tell, TimelineEvent
from testbed.errors import LabError
from testbed.faults import Kill, Pause, Restart, SetClock, State, Stop, Throttle, Unpause
from testbed.impairments import Impairments

MS = 1_000_000


def change(delay_ns):
    return NewImpairments(source="a", destination="b", network="lan", impairments=Impairments(delay_ns=delay_ns))


def event(at_ns):
    return TimelineEvent(at_ns=at_ns, changes=(change(at_ns),))


EVENTS = tuple(map(event, (0, 50 * MS, 50 * MS, 80 * MS)))
RESTORED = (change(7),)


class Nodes:
    """What is done to nodes, and when; stopping takes a while."""

    def __init__(self):
        self.done = []

    async def _do(self, *what):
        self.done.append(what)
        return time.monotonic_ns()

    async def pause(self, node):
        return await self._do("pause", node)

    async def unpause(self, node):
        return await self._do("unpause", node)

    async def stop(self, node):
        await asyncio.sleep(STOPPING_S)
        return await self._do("stop", node)

    async def kill(self, node, number):
        return await self._do("kill", node, number)

    async def start(self, node):
        return await self._do("start", node)

    async def throttle(self, node, cpus_milli):
        return await self._do("throttle", node, cpus_milli)

    async def set_clock(self, node, offset_ns, drift_ppb):
        return await self._do("clock", node, offset_ns, drift_ppb)

    async def prepare_names(self, node):
        pass

    async def release_names(self, node):
        pass

    async def set_names(self, node, wrong):
        return await self._do("names", node, *sorted(map(str, wrong.values())))

    async def fill_disk(self, node, path, *, full):
        return await self._do("fill", node, path, full)

    async def slow_disk(self, node, path, bytes_per_s):
        return await self._do("slow", node, path, bytes_per_s)

    def close(self):
        """Nothing was made outside of these nodes."""


STOPPING_S = 0.3


class Lab:
    """What is done to links, and what a client hears of it; `failing` changes fail."""

    def __init__(self, *failing):
        self.failing = failing
        self.start_ns = time.monotonic_ns() + 30 * MS
        self.done = []
        self.heard = []
        self.nodes = Nodes()

    async def change(self, changes, rebinds, addresses):  # noqa: ARG002  # no NAT here
        begun_ns = time.monotonic_ns()
        self.done.append((begun_ns, changes))
        if changes in self.failing:
            raise LabError("broken", f"{changes}")
        return begun_ns, time.monotonic_ns()

    def carry_out(self, events, listen):
        """Carry events out while `listen` does in a thread what a client does."""

        async def main():
            ours, theirs = socket.socketpair()
            agents, clients = ServerConnection(ours), client_connection.ClientConnection(theirs)
            try:
                call = PlayTimeline(start_ns=self.start_ns, events=tuple(events), restored=RESTORED)
                work = timeline.carry_out(agents, call, self.change, NodeFaults(self.nodes, Events()))
                await asyncio.gather(work, asyncio.to_thread(listen, clients))
            finally:
                agents.close()
                clients.close()

        asyncio.run(main())

    def hear(self, connection, until):
        while len(self.heard) < until:
            self.heard.append(connection.receive().event)


def end(connection):
    connection.tell(Tell())


def test_events_happen_in_turn_no_earlier_than_asked_and_are_undone_at_the_end():
    lab = Lab()

    def listen(connection):
        lab.hear(connection, len(EVENTS))
        end(connection)

    lab.carry_out(EVENTS, listen)
    assert [changes for _, changes in lab.done] == [*(event.changes for event in EVENTS), RESTORED]
    assert [one["number"] for one in lab.heard] == [0, 1, 2, 3]
    for event, (began_ns, _), one in zip(EVENTS, lab.done, lab.heard, strict=False):
        assert began_ns - event.at_ns >= lab.start_ns
        assert began_ns == one["begun_ns"] <= one["done_ns"]


@pytest.mark.parametrize("leave", [end, client_connection.ClientConnection.close])
def test_what_has_not_happened_by_the_end_no_longer_does(leave):
    lab = Lab()

    def listen(connection):
        lab.hear(connection, 1)
        leave(connection)

    lab.carry_out([EVENTS[0], event(3600 * 1000 * MS)], listen)
    assert [changes for _, changes in lab.done] == [EVENTS[0].changes, RESTORED]


def test_the_first_failure_is_told_and_all_is_undone():
    lab = Lab(EVENTS[1].changes, RESTORED)
    with pytest.raises(LabError, match=r"broken.*50000000"):
        lab.carry_out(EVENTS, lambda connection: lab.hear(connection, 1))
    assert [changes for _, changes in lab.done] == [*(event.changes for event in EVENTS[:2]), RESTORED]


def test_that_it_could_not_be_undone_is_told():
    lab = Lab(RESTORED)

    def listen(connection):
        lab.hear(connection, 1)
        end(connection)

    with pytest.raises(LabError, match="delay_ns=7,"):
        lab.carry_out(EVENTS[:1], listen)


def on_nodes(at_ns, *faults):
    return TimelineEvent(at_ns=at_ns, changes=(), faults=faults)


@pytest.mark.parametrize("leave", [end, client_connection.ClientConnection.close])
def test_at_the_end_all_nodes_run_that_events_have_kept_from_it(leave):
    lab = Lab()
    events = [
        on_nodes(0, Pause(node="a"), Kill(node="b")),
        on_nodes(MS, Pause(node="c")),
        on_nodes(2 * MS, Unpause(node="c")),
    ]

    def listen(connection):
        lab.hear(connection, len(events))
        leave(connection)

    lab.carry_out(events, listen)
    *done, first, second = lab.nodes.done
    assert sorted(done) == [("kill", "b", 9), ("pause", "a"), ("pause", "c"), ("unpause", "c")]
    assert {first, second} == {("unpause", "a"), ("start", "b")}


def test_at_the_end_nodes_have_the_cpu_time_and_the_clock_that_they_had_before():
    lab = Lab()
    events = [
        on_nodes(0, Throttle(node="a", cpus_milli=100)),
        on_nodes(MS, Throttle(node="a", cpus_milli=50)),
        on_nodes(2 * MS, SetClock(node="b", offset_ns=5)),
    ]

    def listen(connection):
        lab.hear(connection, len(events))
        end(connection)

    lab.carry_out(events, listen)
    assert lab.nodes.done[:3] == [("throttle", "a", 100), ("throttle", "a", 50), ("clock", "b", 5, 0)]
    assert {*lab.nodes.done[3:]} == {("throttle", "a", 0), ("clock", "b", 0, 0)}


def test_a_slow_event_of_one_node_holds_up_no_event_of_another():
    lab = Lab()
    events = [on_nodes(0, Stop(node="a")), on_nodes(MS, Pause(node="b")), event(2 * MS)]

    def listen(connection):
        lab.hear(connection, len(events))
        end(connection)

    lab.carry_out(events, listen)
    assert lab.nodes.done[:2] == [("pause", "b"), ("stop", "a")]
    assert [one["number"] for one in lab.heard] == [0, 1, 2]
    slow, *others = lab.heard
    assert all(one["done_ns"] < slow["done_ns"] for one in others)


def test_an_event_that_contradicts_the_state_of_a_node_fails_and_all_is_undone():
    lab = Lab()
    with pytest.raises(LabError, match="contradicting-fault: node a is off"):
        lab.carry_out([on_nodes(0, Kill(node="a")), on_nodes(MS, Pause(node="a"))], lambda one: lab.hear(one, 1))
    assert lab.nodes.done == [("kill", "a", 9), ("start", "a")]


@pytest.mark.parametrize("fault", [Restart(node="a"), Stop(node="a")])
def test_a_fault_that_fails_half_way_leaves_the_node_as_it_is_by_then(fault):
    nodes: Any = Nodes()

    async def broken(_node):
        raise LabError("broken", "the program does not start, or end")

    async def fail():
        node_faults = NodeFaults(nodes, Events())
        if isinstance(fault, Restart):
            nodes.start = broken
        else:
            await node_faults.carry_out(Pause(node="a"))
            nodes.stop = broken
        with pytest.raises(LabError, match="broken"):
            await node_faults.carry_out(fault)
        return node_faults.state("a")

    assert asyncio.run(fail()) is (State.STOPPED if isinstance(fault, Restart) else State.RUNNING)
