"""The timeline of a run: sends the events to the agent, which carries them out, and reports them as they happen."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from testbed import faults, units
from testbed.agent.messages import EventDone, NewImpairments, NewNatAddress, PlayTimeline, Tell, TimelineEvent
from testbed.errors import LabError
from testbed.lab import clocks
from testbed.runs import TimelineRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from testbed.agent.client_connection import ClientConnection
    from testbed.faults import Fault
    from testbed.impairments import Impairments
    from testbed.lab.connected import ConnectedLab
    from testbed.lab.observer import Observer
    from testbed.matching import LinkKey
    from testbed.plan.model import Plan
    from testbed.runs import ClockSeen

_log = logging.getLogger(__name__)


_RESTORING_S = 60.0
"""Time limit for the agent to restore the impairments of all links, even of a thousand."""

_SETTLING_S = 20.0
"""How long the end waits for events that are late, and for looks at clocks. Both may wait for it, in a paused node."""


class Timeline:
    """A context during which the events of a plan happen. At its end links are as before it, and all nodes run.

    Args:
        plan: the plan with the events.
        lab: the lab.
        before: the impairments of the links before the first event, which may differ from the plan's (`Link.update`).
        note: called in a thread with the record of each event that has happened.
        observer: receives these events from `follow`.
    """

    def __init__(
        self,
        plan: Plan,
        lab: ConnectedLab,
        before: Mapping[LinkKey, Impairments],
        note: Callable[[TimelineRecord], None],
        observer: Observer,
    ) -> None:
        self._plan = plan
        self._lab = lab
        self._agent = lab.agent
        self._over = False
        self._before = before
        self._note = note
        self._observer = observer
        self._starting = threading.Lock()
        self._start_ns = 0
        self._call: PlayTimeline
        self._connection: ClientConnection | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._unreported: queue.SimpleQueue[TimelineRecord] = queue.SimpleQueue()
        self._settling = threading.Condition()
        self._happened = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def start(self, start_ns: int) -> None:
        """Set time zero, by the nodes' clock. Calls after the first do nothing. Safe to call from any thread."""
        with self._starting:
            if self._connection is not None or not self._plan.timeline:
                return
            self._start_ns = start_ns
            changed = {change.key for event in self._plan.timeline for change in event.changes}
            moved = dict.fromkeys((new.node, new.network) for event in self._plan.timeline for new in event.addresses)
            self._call = PlayTimeline(
                start_ns=start_ns,
                events=tuple(
                    TimelineEvent(
                        at_ns=event.at_ns,
                        changes=tuple(_change(change.key, change.impairments) for change in event.changes),
                        rebinds=event.rebinds,
                        addresses=tuple(self._new(new.node, new.network, new.address) for new in event.addresses),
                        faults=event.faults,
                    )
                    for event in self._plan.timeline
                ),
                restored=tuple(
                    _change(link.key, self._before.get(link.key, link.impairments))
                    for link in self._plan.links
                    if link.key in changed
                ),
                addresses=tuple(self._new(*place) for place in moved),
            )
            self._connection = self._agent.begin(self._call)
            self._reader.start()

    def _new(self, node: str, network: str, address: str = "") -> NewNatAddress:
        """Return an address for the NAT of a node, by default the plan's."""
        interface = self._plan.node(node).on(network)
        length = interface.prefix_length
        return NewNatAddress(node=node, network=network, address=address or interface.address, prefix_length=length)

    def _read(self) -> None:
        """Read the agent's reports until it sends its result or an error."""
        connection = self._connection
        assert connection is not None  # noqa: S101  # start has set it
        try:
            for done in connection.events(self._call, EventDone):
                event = self._plan.timeline[done.number]
                record = TimelineRecord(
                    at_ns=event.at_ns,
                    what=event.what,
                    due_ns=self._start_ns + event.at_ns,
                    begun_ns=done.begun_ns,
                    done_ns=done.done_ns,
                    minor=event.minor,
                    lasting=any(faults.takes_time(fault) for fault in event.faults),
                    clocks=tuple(self._clocks(event.faults, event.at_ns, done.done_ns)),
                )
                _log.info("%s at %s", event.what, units.DURATION.format(event.at_ns))
                self._note(record)
                self._unreported.put(record)
                with self._settling:
                    self._happened += 1
                    self._settling.notify_all()
        except BaseException as error:  # noqa: BLE001  # `follow` raises it again
            with self._settling:
                self._failure = error
                self._settling.notify_all()

    def _clocks(self, happened: Iterable[Fault], at_ns: int, done_ns: int) -> Iterator[ClockSeen]:
        """Look at the clocks that an event has changed, but for those that a later one changes meanwhile.

        Raises:
            LabError: `clock-not-seen`.
        """
        for fault in happened:
            if not isinstance(fault, faults.SetClock):
                continue
            try:
                yield clocks.look(self._lab, fault, done_ns)
            except LabError:
                gone_ns = self._lab.now_ns() - self._start_ns
                later = (event for event in self._plan.timeline if at_ns < event.at_ns <= gone_ns)
                changed = any(other.node == fault.node for event in later for other in event.faults)
                if not (changed or self._over):
                    raise

    def follow(self) -> None:
        """Report the events that have happened since the last call to the observer.

        Raises:
            TestbedError: an event could not be carried out.
        """
        with suppress(queue.Empty):
            while True:
                event = self._unreported.get_nowait()
                if not event.minor:
                    self._observer.happened(units.DURATION.format(event.at_ns), event.what)
        if self._failure is not None:
            raise self._failure

    def require_all(self) -> None:
        """End the timeline: require that all events have happened, and that the lab is as before.

        Events whose time has come happen first, and are looked at, however late the machine is.

        Raises:
            LabError: `timeline-cut-short`, the workloads ended before; others, the lab is not as before.
        """
        if self._connection is not None:
            gone_ns = self._lab.now_ns() - self._start_ns
            due = sum(event.at_ns <= gone_ns for event in self._plan.timeline)
            with self._settling:
                self._settling.wait_for(lambda: self._happened >= due or self._failure, _SETTLING_S)
        self._end()
        self.follow()
        if missed := self._plan.timeline[self._happened :]:
            first = missed[0]
            raise LabError(
                "timeline-cut-short",
                f"the workloads ended before {units.DURATION.format(first.at_ns)}, the time of the event {first.what}",
                "events happen while workloads run: move the event or lengthen the workloads",
            )

    def _end(self) -> None:
        """Let the agent end the timeline, and wait until it has; do nothing if it has already."""
        if self._connection is None:
            return
        try:
            self._over = True
            with suppress(LabError):  # the agent has gone or has failed: the reader has its error
                self._connection.tell(Tell())
            self._reader.join(_RESTORING_S)
            if self._reader.is_alive():
                self._failure = LabError(
                    "agent-stuck",
                    f"the lab's agent has not ended the timeline and restored the lab within {_RESTORING_S:.0f} s",
                    f"testbed down {self._plan.lab} ends it",
                )
        finally:
            self._connection.close()
            self._connection = None

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()
        if kind is None and self._failure is not None:
            raise self._failure


def _change(link: LinkKey, impairments: Impairments) -> NewImpairments:
    return NewImpairments(**link._asdict(), impairments=impairments)
