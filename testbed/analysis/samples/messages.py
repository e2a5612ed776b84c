"""Messages and what became of them, and payload delivered over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis.samples.bins import Bins, Distribution
from testbed.records import Ledger, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.records import Received

GOODPUT_NS = 100_000_000
FINEST_NS = 1_000_000

_PART = 10_000
"""Numbers of lost messages that are binned at once."""


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
    """What became of messages, in bins. Memory is bounded except for what the ledger holds, a byte of each.

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
        self._ledger = Ledger(timeout_ns)

    def __len__(self) -> int:
        return len(self._ledger)

    @property
    def one_way(self) -> bool:
        """Whether they arrive at another node than the one that sent them; else it is answers that arrive."""
        return self.sender is not None and self.receiver not in (None, self.sender)

    def add(self, event: Sent | Received, flow: Flow, size: int) -> None:
        """Take in when messages were sent, or when they arrived; those delivered go to `flow` too, `size` bytes each.

        Raises:
            RecordError: lines are missing.
        """
        if isinstance(event, Sent):
            self.sender = event.node
        else:
            self.receiver = event.node
        for deliveries in self._ledger.add(event):
            flow.extend(deliveries.received_ns, [size] * len(deliveries.seq))
            self.latency.extend(deliveries.sent_ns, deliveries.latencies_ns)
            self.latencies.extend(deliveries.latencies_ns)
            for number in deliveries.reordered:
                self.reordered.add(number)
            for number in deliveries.duplicates:
                self.duplicated.add(number)

    def finish(self) -> None:
        """Find what was lost, when all lines are in.

        Raises:
            RecordError: messages arrived that were never sent.
        """
        self._ledger.finish()
        for run in self._ledger.loss_runs():
            for start in range(run.start, run.stop, _PART):
                numbers = range(start, min(start + _PART, run.stop))
                ones = [1] * len(numbers)
                self.lost.extend(numbers, ones)
                self.lost_at.extend(self._ledger.sent_ns.rows(numbers.start, numbers.stop), ones)

    def loss(self, parts: int) -> list[tuple[int, int, float]]:
        """The share that was lost in no more than so many equal parts of the sequence (the last may be shorter).

        Returns:
            Of each part the first number, the one after the last, and the share, from 0 to 1.
        """
        size = -(-len(self) // parts)
        bounds = [(start, min(start + size, len(self))) for start in range(0, len(self), size)]
        return [(start, end, self._ledger.lost(start, end) / (end - start)) for start, end in bounds]
