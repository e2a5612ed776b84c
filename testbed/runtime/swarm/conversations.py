"""Calls that last, over several machines: one connection to each agent, whose events come as those of one agent."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.agent.client_connection import ClientConnection
from testbed.agent.messages import EventDone, LabEvent, LinkSamples, NewImpairments, PlayTimeline, TimelineEvent
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from testbed.agent.messages import Call, Tell

_END = object()


class Conversation(ClientConnection):
    """A call under way on several machines; see `ClientConnection`. Its result is nothing, as that of all such calls.

    Args:
        parts: the connection to each machine's agent, by machine.
        ahead_ns: how far the clock of each machine is ahead.
    """

    def __init__(self, parts: Mapping[str, ClientConnection], ahead_ns: Mapping[str, int]) -> None:
        self._parts = parts
        self._ahead_ns = ahead_ns

    def tell(self, what: Tell) -> None:
        """Tell all machines the same."""
        for part in self._parts.values():
            part.tell(what)

    def events(self, call: Call[Any], kind: type[Any]) -> Generator[Any, None, Any]:
        """Yield the events of all machines, with times by the nodes' clock, until all have ended.

        Raises:
            TestbedError: the first one that an agent raises.
        """
        found: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

        def read(machine: str, part: ClientConnection) -> None:
            try:
                for event in part.events(call, kind):
                    found.put((machine, event))
                found.put((machine, _END))
            except BaseException as error:  # noqa: BLE001  # it is raised in the thread that reads
                found.put((machine, error))

        for machine, part in self._parts.items():
            threading.Thread(target=read, args=(machine, part), daemon=True).start()
        merge = _MERGED.get(kind, _Merged)(len(self._parts))
        left = len(self._parts)
        while left:
            machine, event = found.get()
            if isinstance(event, BaseException):
                raise event
            if event is _END:
                left -= 1
            else:
                yield from merge.add(_moved(event, -self._ahead_ns[machine]))
        return None

    def close(self) -> None:
        """Close all connections."""
        for part in self._parts.values():
            with suppress(TestbedError):
                part.close()


class _Merged:
    """Events of several machines that need no more than to come one after the other."""

    def __init__(self, machines: int) -> None:
        self.machines = machines

    def add(self, event: Any) -> Sequence[Any]:  # noqa: ANN401  # any event
        """Return the events that come after another one has arrived."""
        return (event,)


class _Numbered(_Merged):
    """Events of labs, numbered anew."""

    _last = 0

    def add(self, event: LabEvent) -> Sequence[LabEvent]:
        self._last += 1
        return (msgspec.structs.replace(event, number=self._last),)


class _Together(_Merged):
    """Events of a timeline, which have happened when they have on all machines."""

    def __init__(self, machines: int) -> None:
        super().__init__(machines)
        self._waiting: defaultdict[int, list[EventDone]] = defaultdict(list)

    def add(self, event: EventDone) -> Sequence[EventDone]:
        parts = self._waiting[event.number]
        parts.append(event)
        if len(parts) < self.machines:
            return ()
        del self._waiting[event.number]
        begun_ns, done_ns = min(part.begun_ns for part in parts), max(part.done_ns for part in parts)
        return (EventDone(number=event.number, begun_ns=begun_ns, done_ns=done_ns),)


_MERGED: Mapping[type[Any], Callable[[int], _Merged]] = {LabEvent: _Numbered, EventDone: _Together}


def _moved(event: Any, by_ns: int) -> Any:  # noqa: ANN401  # any event
    """Return an event with its times of the monotonic clock moved."""
    match event:
        case LinkSamples():
            columns = {**event.columns, "at_ns": tuple(at_ns + by_ns for at_ns in event.columns["at_ns"])}
            return msgspec.structs.replace(event, columns=columns)
        case LabEvent():
            begun_ns = None if event.begun_ns is None else event.begun_ns + by_ns
            return msgspec.structs.replace(event, at_ns=event.at_ns + by_ns, begun_ns=begun_ns)
        case EventDone():
            times = {"begun_ns": event.begun_ns + by_ns, "done_ns": event.done_ns + by_ns}
            return msgspec.structs.replace(event, **times)
    return event


def part_of(timeline: PlayTimeline, nodes: Collection[str], ahead_ns: int) -> PlayTimeline:
    """Return what one machine does of a timeline: links to its nodes, what happens to its nodes, nothing else.

    Args:
        timeline: of the run.
        nodes: those of the machine.
        ahead_ns: how far the machine's clock is ahead.
    """

    def own(changes: Sequence[NewImpairments]) -> tuple[NewImpairments, ...]:
        return tuple(change for change in changes if change.key.place[0] in nodes)

    return PlayTimeline(
        start_ns=timeline.start_ns + ahead_ns,
        events=tuple(
            TimelineEvent(
                at_ns=event.at_ns,
                changes=own(event.changes),
                rebinds=tuple(node for node in event.rebinds if node in nodes),
                addresses=tuple(new for new in event.addresses if new.node in nodes),
                faults=tuple(fault for fault in event.faults if fault.node in nodes),
            )
            for event in timeline.events
        ),
        restored=own(timeline.restored),
        addresses=tuple(new for new in timeline.addresses if new.node in nodes),
    )
