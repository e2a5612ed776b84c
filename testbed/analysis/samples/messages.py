"""Messages and what became of them, and payload delivered over time."""

from __future__ import annotations

from array import array
from itertools import islice
from operator import lt, sub
from typing import TYPE_CHECKING, Any

from testbed.analysis.samples.bins import Bins, Distribution
from testbed.endpoint.columns import Column, decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GOODPUT_NS = 100_000_000
FINEST_NS = 1_000_000


class Flow:
    """Payload delivered over time.

    Attributes:
        delivered: bytes, over time, ns.
        first_ns, last_ns: about when the first and the last arrived.
    """

    def __init__(self) -> None:
        self.delivered = Bins(GOODPUT_NS)
        self.first_ns = self.last_ns = 0

    def add(self, at_ns: int, size: int) -> None:
        """Take in what arrived."""
        self.extend((at_ns,), (size,))

    def extend(self, times_ns: Sequence[int], sizes: Sequence[int]) -> None:
        """Take in what arrived, in order of time."""
        if times_ns:
            self.first_ns = self.first_ns or times_ns[0]
            self.last_ns = max(self.last_ns, times_ns[-1])
            self.delivered.extend(times_ns, sizes)


class Messages:
    """What became of messages. Memory is bounded but for a byte of each: whether it arrived.

    Attributes:
        sender, receiver: the nodes where they were sent and where they, or their answers, arrived; None where none.
        latency: over the time of sending, ns.
        latencies: their distribution, ns.
        lost_at: the lost over the time of sending, ns.
        lost, reordered, duplicated: those that were, over the sequence number.
    """

    def __init__(self, timeout_ns: int | None = None) -> None:
        """Begin with none.

        Args:
            timeout_ns: after how long an answer counts as lost; None where all that came count.
        """
        self.sender: str | None = None
        self.receiver: str | None = None
        self.latency, self.lost_at = Bins(FINEST_NS), Bins(FINEST_NS)
        self.latencies = Distribution()
        self.lost, self.reordered, self.duplicated = (Bins(1) for _ in range(3))
        self._sent_ns = Column()
        self._arrived = bytearray()
        self._timeout_ns = timeout_ns
        self._expected = 0
        self._pending: list[tuple[array[int], array[int]]] = []

    def __len__(self) -> int:
        return len(self._arrived)

    @property
    def one_way(self) -> bool:
        """Whether they arrive at another node than the one that sent them; else it is answers that arrive."""
        return self.sender is not None and self.receiver not in (None, self.sender)

    def sent(self, record: Mapping[str, Any]) -> None:
        """Take in a line `sent`."""
        if record["first"] != len(self):
            raise ValueError(f"a line tells of message {record['first']}; {len(self)} is next")
        self.sender = record["node"]
        rows = decode(record["sent_ns"])
        self._sent_ns.extend(rows)
        self._arrived.extend(bytes(len(rows)))
        self._sort_out()

    def received(self, record: Mapping[str, Any], flow: Flow, size: int) -> None:
        """Take in a line `received`; what arrived goes to `flow` too, `size` bytes each."""
        seq, at = decode(record["seq"]), decode(record["received_ns"])
        self.receiver = record["node"]
        flow.extend(at, [size] * len(at))
        self._pending.append((seq, at))
        self._sort_out()

    def _sort_out(self) -> None:
        """Take in the arrivals of messages of which it is known when they were sent."""
        while self._pending and max(self._pending[0][0], default=0) < len(self):
            self._arrivals(*self._pending.pop(0))

    def _arrivals(self, seq: array[int], at: array[int]) -> None:
        if self._timeout_ns is not None or not self._as_sent(seq):
            seq, at = self._sorted_out(seq, at)
        if not seq:
            return
        lowest = min(seq)
        sent_ns = self._sent_ns.rows(lowest, max(seq) + 1)
        for number in seq:
            self._arrived[number] = 1
        sent = array("q", [sent_ns[number - lowest] for number in seq])
        latencies = array("q", map(sub, at, sent))
        if min(latencies) < 0:
            latencies = array("q", [max(0, each) for each in latencies])
        self.latency.extend(sent, latencies)
        self.latencies.extend(latencies)

    def _as_sent(self, seq: array[int]) -> bool:
        """Whether these arrive in order, behind all that have arrived."""
        if seq and (seq[0] < self._expected or not all(map(lt, seq, islice(seq, 1, None)))):
            return False
        self._expected = seq[-1] + 1 if seq else self._expected
        return True

    def _sorted_out(self, seq: array[int], at: array[int]) -> tuple[array[int], array[int]]:
        """The first arrivals in time, without what came twice or too late."""
        numbers, times = array("q"), array("q")
        seen: set[int] = set()
        for number, at_ns in zip(seq, at, strict=True):
            if self._arrived[number] or number in seen:
                self.duplicated.add(number)
                continue
            if self._timeout_ns is not None and at_ns - self._sent_ns[number] > self._timeout_ns:
                continue
            seen.add(number)
            numbers.append(number)
            times.append(at_ns)
            if number < self._expected:
                self.reordered.add(number)
            else:
                self._expected = number + 1
        return numbers, times

    def finish(self) -> None:
        """Sort out what was lost, when all lines are in; forget when each was sent (on disk until then)."""
        if self._pending:
            raise ValueError("messages arrived that were never sent")
        first = 0
        for rows in self._sent_ns.parts():
            lost = [number for number, arrived in enumerate(self._arrived[first : first + len(rows)]) if not arrived]
            for number in lost:
                self.lost.add(first + number)
                self.lost_at.add(rows[number])
            first += len(rows)
        self._sent_ns = Column()

    def loss(self, parts: int) -> list[tuple[int, int, float]]:
        """The share that was lost in no more than so many equal parts of the sequence (the last may be shorter).

        Returns:
            Of each part the first number, the one after the last, and the share, from 0 to 1.
        """
        size = -(-len(self) // parts)
        starts = range(0, len(self), size)
        return [
            (at, min(at + size, len(self)), self._arrived[at : at + size].count(0) / min(size, len(self) - at))
            for at in starts
        ]
