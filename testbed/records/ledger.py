"""Matches the messages that arrived with those that were sent: delivered, late, duplicate, reordered, lost.

This is the only place that decides which of these a message is; summaries, reports and checks use it.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, compress
from operator import lt, not_, sub
from typing import TYPE_CHECKING

from testbed.endpoint.columns import Column
from testbed.records.events import Received, RecordEvent, Sent
from testbed.records.lines import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_DELIVERED, _LATE = 1, 2
_nothing = partial(array, "q")
_LOST_RUN = re.compile(rb"[^\x01]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The deliveries and duplicates among the arrivals of one line.

    Attributes:
        seq: the numbers of the messages that this line delivers, each once, in order of arrival.
        sent_ns, received_ns: when each of them was sent and when it arrived.
        latencies_ns: the difference. It is negative if the receiver's clock is behind the sender's (RFC 7679, 3.7.1);
            negative values are kept, since they show that the clocks differ.
        duplicates: the numbers of messages that arrived again, once for each further copy.
        reordered: the numbers of those of `seq` that are reordered.
    """

    seq: array[int] = field(default_factory=_nothing)
    sent_ns: array[int] = field(default_factory=_nothing)
    received_ns: array[int] = field(default_factory=_nothing)
    latencies_ns: array[int] = field(default_factory=_nothing)
    duplicates: array[int] = field(default_factory=_nothing)
    reordered: array[int] = field(default_factory=_nothing)


class Ledger:
    """The messages of one workload. Memory holds one byte per message; the times of sending are on disk.

    - A message is *delivered* if a copy of it arrives within the time-out after it was sent; otherwise it is *lost*
      (RFC 7680, 2.4), and *late* if a copy arrives after the time-out.
    - *Duplicates* are the further copies that arrive within the time-out (RFC 5560, 2.4: copies count from the time of
      sending until the waiting time has passed; of a message that is lost, there is no number of duplicates).
    - A message is *reordered* if one with a higher number was delivered before it (RFC 4737, 3.3); further copies of a
      message do not count.

    Attributes:
        sent_ns: when each message was sent, by its number.
        delivered, duplicates, reordered: how many there are.
    """

    def __init__(self, timeout_ns: int | None = None) -> None:
        """Begin without messages.

        Args:
            timeout_ns: how long after it was sent an arrival counts; None where every arrival counts.
        """
        self.sent_ns = Column()
        self.delivered = self.duplicates = self.reordered = 0
        self._timeout_ns = timeout_ns
        self._states = bytearray()  # of each message: 0, or one of the constants above
        self._highest = -1
        self._waiting: list[Received] = []

    def __len__(self) -> int:
        """Return the number of messages that were sent."""
        return len(self._states)

    @property
    def late(self) -> int:
        """The number of messages of which copies arrived, all of them after the time-out."""
        return self._states.count(_LATE)

    def add(self, event: RecordEvent) -> Iterator[Deliveries]:
        """Add an event and yield the deliveries that it completes; ignore events other than `sent` and `received`.

        Arrivals wait until their messages' times of sending are known, since lines of two endpoints may alternate.

        Raises:
            RecordError: `incomplete-record`: lines are missing; `unknown-message`: a number is negative.
        """
        if isinstance(event, Sent):
            if event.first != len(self):
                message = f"a line begins with message {event.first}; {len(self)} is next"
                raise RecordError("incomplete-record", message)
            self.sent_ns.extend(event.sent_ns)
            self._states.extend(bytes(len(event.sent_ns)))
        elif isinstance(event, Received):
            if len(event.seq) != len(event.received_ns):
                message = f"a line has {len(event.seq)} messages and {len(event.received_ns)} times of arrival"
                raise RecordError("incomplete-record", message)
            if event.seq:
                self._waiting.append(event)
        while self._waiting and max(self._waiting[0].seq) < len(self):
            arrivals = self._waiting.pop(0)
            yield self._match(arrivals.seq, arrivals.received_ns)

    def finish(self) -> None:
        """Check, after the last line, that every message that arrived was sent.

        Raises:
            RecordError: `unknown-message`: a message arrived that was not sent.
        """
        if self._waiting:
            number = max(self._waiting[0].seq)
            raise RecordError("unknown-message", f"message {number} arrived; only {len(self)} were sent")

    def forget_times(self) -> None:
        """Close the file with the times of sending; only counts are available from then on."""
        self.sent_ns = Column()

    def is_delivered(self, number: int) -> bool:
        """Return whether a message was delivered."""
        return self._states[number] == _DELIVERED

    def lost(self, start: int, end: int) -> int:
        """Return how many of the messages from `start` up to `end` were lost."""
        return min(end, len(self)) - start - self._states.count(_DELIVERED, start, end)

    def loss_runs(self) -> Iterator[range]:
        """Yield the numbers of the messages of each loss period: lost in a row (RFC 3357, 5.4), in order of sending."""
        return (range(*run.span()) for run in _LOST_RUN.finditer(self._states))

    def _match(self, seq: array[int], received_ns: array[int]) -> Deliveries:
        lowest = min(seq)
        if lowest < 0:
            raise RecordError("unknown-message", f"message {lowest} arrived; they are numbered from 0")
        times_ns = self.sent_ns.rows(lowest, max(seq) + 1)
        if self._timeout_ns is not None:
            limit_ns = self._timeout_ns
            in_time = [at - times_ns[number - lowest] <= limit_ns for number, at in zip(seq, received_ns, strict=True)]
            self._note_late(compress(seq, map(not_, in_time)))
            seq, received_ns = _selected(in_time, seq, received_ns)
        duplicates = array("q")
        if len(set(seq)) < len(seq) or any(map(self._states.__getitem__, seq)):
            is_first = self._deliver(seq)
            duplicates = array("q", compress(seq, map(not_, is_first)))
            seq, received_ns = _selected(is_first, seq, received_ns)
        else:
            for number in seq:
                self._states[number] = _DELIVERED
        sent_ns = array("q", [times_ns[number - lowest] for number in seq])
        reordered = self._overtaken(seq)
        self.delivered += len(seq)
        self.duplicates += len(duplicates)
        self.reordered += len(reordered)
        return Deliveries(
            seq=seq,
            sent_ns=sent_ns,
            received_ns=received_ns,
            latencies_ns=array("q", map(sub, received_ns, sent_ns)),
            duplicates=duplicates,
            reordered=reordered,
        )

    def _note_late(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._states[number] = self._states[number] or _LATE

    def _deliver(self, seq: array[int]) -> list[bool]:
        """Note that messages were delivered, and return which arrivals are the first copies."""
        states, is_first = self._states, []
        for number in seq:
            is_first.append(states[number] != _DELIVERED)
            states[number] = _DELIVERED
        return is_first

    def _overtaken(self, seq: array[int]) -> array[int]:
        """Return the numbers that are lower than one delivered before."""
        highest = [*accumulate(seq, max, initial=self._highest)]
        self._highest = highest[-1]
        return array("q", compress(seq, map(lt, seq, highest)))


def _selected(chosen: Sequence[bool], seq: array[int], at_ns: array[int]) -> tuple[array[int], array[int]]:
    return array("q", compress(seq, chosen)), array("q", compress(at_ns, chosen))


def match(sent_ns: Sequence[int], seq: Sequence[int], received_ns: Sequence[int]) -> tuple[Ledger, Deliveries]:
    """Match arrivals that are in memory, without a time-out, and return the ledger and the deliveries.

    Args:
        sent_ns: when each message was sent.
        seq: the message of each arrival, in order of arrival.
        received_ns: the time of each arrival.

    Raises:
        RecordError: a message arrived that was not sent.
    """
    ledger = Ledger()
    sent = Sent(first=0, sent_ns=array("q", sent_ns))
    received = Received(seq=array("q", seq), received_ns=array("q", received_ns))
    deliveries = [*ledger.add(sent), *ledger.add(received)]  # at most one: there is one line of arrivals
    ledger.finish()
    return ledger, deliveries[0] if deliveries else Deliveries()
