"""The fate and latency of messages, and the payload delivered over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis.samples.bins import LIMIT, Bins, Distribution
from testbed.records import Ledger, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.records import Received

GOODPUT_NS = 100_000_000
FINEST_NS = 1_000_000

_PART = 10_000
"""How many lost messages are added to bins at once."""


class BinnedPayload:
    """Payload delivered over time.

    Attributes:
        delivered: bytes, over time in ns.
        first_ns, last_ns: about when the first and the last bytes arrived.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.delivered = Bins(GOODPUT_NS, limit)
        self.first_ns = self.last_ns = 0

    def add(self, at_ns: int, size: int) -> None:
        """Add bytes that arrived."""
        self.extend((at_ns,), (size,))

    def extend(self, times_ns: Sequence[int], sizes: Sequence[int]) -> None:
        """Add bytes that arrived, in order of time."""
        if times_ns:
            self.first_ns = self.first_ns or times_ns[0]
            self.last_ns = max(self.last_ns, times_ns[-1])
            self.delivered.extend(times_ns, sizes)


class BinnedMessages:
    """The latency and fate of messages, in bins. Memory is bounded except for the ledger's byte per message.

    Attributes:
        sender: the node that sent the messages; None if there are none.
        receiver: the node where they, or their answers, arrived; None if none did.
        latency: over the time of sending, ns.
        latencies: distribution of the latency, ns.
        lost_at: lost messages over the time of sending, ns.
        lost, reordered, duplicated: such messages over the sequence number.
    """

    def __init__(self, timeout_ns: int | None = None, limit: int = LIMIT) -> None:
        """Create an empty record.

        Args:
            timeout_ns: how late an answer may be before it counts as lost; None if it never does.
            limit: on the number of bins.
        """
        self.sender: str | None = None
        self.receiver: str | None = None
        self.latency, self.lost_at = Bins(FINEST_NS, limit), Bins(FINEST_NS, limit)
        self.latencies = Distribution()
        self.lost, self.reordered, self.duplicated = (Bins(1, limit) for _ in range(3))
        self._ledger = Ledger(timeout_ns)

    def __len__(self) -> int:
        return len(self._ledger)

    @property
    def one_way(self) -> bool:
        """Whether messages arrive at another node than the sender; otherwise their answers arrive at the sender."""
        return self.sender is not None and self.receiver not in (None, self.sender)

    def add(self, event: Sent | Received, flow: BinnedPayload, size: int) -> None:
        """Add the times at which messages were sent or arrived; delivered ones also add `size` bytes each to `flow`.

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
        """Determine the lost messages, after all lines have been added.

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
        self._ledger.forget_times()  # a file each: a run may have more workloads than a process may open files

    def loss(self, parts: int) -> list[tuple[int, int, float]]:
        """Return the loss in at most `parts` equal parts of the sequence; the last part may be shorter.

        Returns:
            For each part its first number, the number after its last one, and its ratio of lost messages.
        """
        size = -(-len(self) // parts)
        bounds = [(start, min(start + size, len(self))) for start in range(0, len(self), size)]
        return [(start, end, self._ledger.lost(start, end) / (end - start)) for start, end in bounds]
