"""A timeline carried out for a client: when, told how, and undone at its end."""

import asyncio
import socket
import time

import pytest

from testbed.agent import client_connection, timeline
from testbed.agent.connection import Connection
from testbed.agent.messages import LinkChange, Tell, Timeline, TimelineEvent
from testbed.errors import LabError
from testbed.impairments import Impairments

MS = 1_000_000


def change(delay_ns):
    return LinkChange(source="a", destination="b", network="lan", impairments=Impairments(delay_ns=delay_ns))


def event(at_ns):
    return TimelineEvent(at_ns=at_ns, changes=(change(at_ns),))


EVENTS = tuple(map(event, (0, 50 * MS, 50 * MS, 80 * MS)))
RESTORED = (change(7),)


class Lab:
    """What is done to links, and what a client hears of it; `failing` changes fail."""

    def __init__(self, *failing):
        self.failing = failing
        self.start_ns = time.monotonic_ns() + 30 * MS
        self.done = []
        self.heard = []

    async def change(self, changes, rebinds):  # noqa: ARG002  # no NAT here
        begun_ns = time.monotonic_ns()
        self.done.append((begun_ns, changes))
        if changes in self.failing:
            raise LabError("broken", f"{changes}")
        return begun_ns, time.monotonic_ns()

    def carry_out(self, events, listen):
        """Carry events out while `listen` does in a thread what a client does."""

        async def main():
            ours, theirs = socket.socketpair()
            agents, clients = Connection(ours), client_connection.Connection(theirs)
            try:
                work = timeline.carry_out(
                    agents, Timeline(start_ns=self.start_ns, events=tuple(events), restored=RESTORED), self.change
                )
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


@pytest.mark.parametrize("leave", [end, client_connection.Connection.close])
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
