"""What happens to a lab while it is up, for clients that follow it.

There is one list of the latest events, and each client that follows has a position in it, not a queue of its own. A
client that reads too slowly misses events and learns how many; it does not hold up the agent or other clients.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from testbed.agent import protocol
from testbed.agent.messages import LabEvent, RunNote
from testbed.agent.tasks import cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from testbed.agent.connection import ServerConnection
    from testbed.agent.messages import AnnounceRun, EventKind, Follow
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey

_KEPT = 1000
_LINKS_NAMED = 100
_LOOK_SECONDS = 0.5


class Events:
    """The latest events of a lab; they are numbered from 1.

    Attributes:
        begun: whether the lab is up; nothing counts as an event before.
    """

    def __init__(self) -> None:
        self.begun = False
        self._latest: deque[LabEvent] = deque(maxlen=_KEPT)
        self._happened = 0
        self._over = False
        self._news = asyncio.Event()

    def note(
        self,
        kind: EventKind,
        what: str,
        *,
        node: str = "",
        links: Sequence[str] = (),
        times_ns: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Note that something has happened.

        Args:
            kind: see `LabEvent`.
            what: a sentence.
            node: see `LabEvent`.
            links: see `LabEvent`.
            times_ns: when it began and when it was done, ns of the monotonic clock; by default just now.
        """
        if not self.begun:
            return
        begun_ns, done_ns = times_ns
        now_ns = time.monotonic_ns()
        at_ns = now_ns if done_ns is None else done_ns
        self._happened += 1
        self._latest.append(
            LabEvent(
                number=self._happened,
                kind=kind,
                at_ns=at_ns,
                unix_ns=time.time_ns() - (now_ns - at_ns),
                what=what,
                node=node,
                links=tuple(links[:_LINKS_NAMED]),
                begun_ns=begun_ns,
            )
        )
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """End the streams of all clients, because the lab goes down."""
        self._over = True
        self._news.set()

    def note_links(self, changed: Mapping[LinkKey, Impairments]) -> None:
        """Note that links have other impairments; one event for all that have the same now."""
        if not self.begun:
            return
        by_impairments: dict[str, list[str]] = {}
        for key, impairments in changed.items():
            by_impairments.setdefault(impairments.describe(), []).append(key.name)
        for description, (first, *others) in by_impairments.items():
            more = f" and {len(others)} more" if others else ""
            self.note("impairments", f"{first}{more}: {description}", links=[first, *others])

    async def tell(self, connection: ServerConnection, call: Follow) -> None:
        """Report events to a client, as it asks for."""
        ended = asyncio.create_task(connection.receive())
        told = 0 if call.past else self._happened
        try:
            while not ended.done():
                news = self._news
                for event in self._after(told):
                    await connection.send_event(event)
                    told = event.number
                if told == self._happened:
                    if self._over or not call.lasting:
                        return
                    waiting = asyncio.create_task(news.wait())
                    await asyncio.wait([ended, waiting], return_when=asyncio.FIRST_COMPLETED)
                    await cancelled(waiting)
        finally:
            await cancelled(ended)

    def _after(self, told: int) -> Iterator[LabEvent]:
        """Return the events after the one of a number, and before them how many of them are not kept any more."""
        found = [event for event in self._latest if event.number > told]
        missed = found[0].number - told - 1 if found else 0
        if missed:
            first = found[0]
            yield LabEvent(
                number=first.number - 1,
                kind="missed",
                at_ns=first.at_ns,
                unix_ns=first.unix_ns,
                what=f"{missed} earlier events are not kept any more",
            )
        yield from found

    async def attend(self, connection: ServerConnection, call: AnnounceRun) -> None:
        """Note what a command reports about its run, and the end of the run, however it ends."""
        self.note("run-begun", call.what)
        ended = f"{call.what}: its command ended before"
        try:
            while message := await connection.receive():
                said = protocol.read(message.tell, RunNote, "tell")
                if said.kind == "run-ended":
                    ended = said.what
                    return
                self.note(said.kind, said.what)
        finally:
            self.note("run-ended", ended)

    async def look(self, states: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]]) -> None:
        """Note nodes whose programs end or stand still, and links that pass nothing any more, until cancelled.

        Args:
            states: returns the state of each node that no fault keeps from running, and the dead links with the reason.
        """
        nodes, dead = states()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now, dead_now = states()
            for name, state in now.items():
                if state != nodes.get(name, state):
                    self.note("node", f"{name}: {state}, was {nodes[name]}", node=name)
            for link, why in dead_now.items():
                if link not in dead:
                    self.note("link", f"{link} passes nothing any more: {why}", links=[link])
            nodes, dead = now, dead_now
