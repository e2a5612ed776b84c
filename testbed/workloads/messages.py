"""Messages with sequence numbers: which arrived, when, how often and in which order.

However many there are, memory holds one byte of each: whether it arrived. The rest is on disk while it is needed, 32
bytes of each (`testbed.endpoint.columns.Column`), so that figures are exact all the same.
"""

from __future__ import annotations

import re
from array import array
from itertools import compress
from typing import TYPE_CHECKING, Any

from testbed.endpoint.columns import Column, decode
from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.workloads.summary import Figures

NOTHING_DELIVERED = "nothing was delivered"

_LOSSES = re.compile(rb"\0+")


class Messages:
    """What the lines `sent` and `received` of a record tell.

    Attributes:
        sent_ns: per sequence number.
    """

    def __init__(self, timeout_ns: int | None = None) -> None:
        """Begin with none.

        Args:
            timeout_ns: arrivals later than this after the sending don't count as delivered.
        """
        self.sent_ns = Column()
        self._arrivals = Arrivals(timeout_ns)
        self._ahead: list[tuple[array[int], array[int]]] = []

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in a line of the record; others than `sent` and `received` say nothing here.

        Raises:
            WorkloadError: lines are missing.
        """
        if record["event"] == "sent":
            if record["first"] != len(self.sent_ns):
                raise WorkloadError(
                    "incomplete-record", f"a line tells of message {record['first']}; {len(self.sent_ns)} is next"
                )
            rows = decode(record["sent_ns"])
            self.sent_ns.extend(rows)
            self._arrivals.expect(len(rows))
        elif record["event"] == "received" and record["seq"]:
            self._ahead.append((decode(record["seq"]), decode(record["received_ns"])))
        while self._ahead and max(self._ahead[0][0]) < len(self.sent_ns):
            self._arrivals.extend(*self._ahead.pop(0), self.sent_ns)

    def arrivals(self) -> Arrivals:
        """What became of them, when all lines are in.

        Raises:
            WorkloadError: a message arrived that was never sent.
        """
        if self._ahead:
            number = max(self._ahead[0][0])
            raise WorkloadError("unknown-message", f"message {number} arrived; only {len(self.sent_ns)} were sent")
        return self._arrivals


class Arrivals:
    """What became of the messages.

    Attributes:
        arrived: per message sent, 1 if it was delivered, else 0.
        sequence: numbers of the delivered, each once, in order of arrival.
        received_ns, latencies_ns: when each of those arrived, and how long after it was sent.
        duplicates: arrivals of what had arrived before.
        late: messages that arrived, but after the time-out.
    """

    def __init__(self, timeout_ns: int | None = None) -> None:
        self.arrived = bytearray()
        self.sequence, self.received_ns, self.latencies_ns = Column(), Column(), Column()
        self.duplicates = self.late = 0
        self._timeout_ns = timeout_ns
        self._seen = self.arrived if timeout_ns is None else bytearray()

    def expect(self, count: int) -> None:
        """Note that so many more messages were sent."""
        self.arrived.extend(bytes(count))
        if self._seen is not self.arrived:
            self._seen.extend(bytes(count))

    def extend(self, seq: array[int], received_ns: array[int], sent_ns: Column) -> None:
        """Take in arrivals in their order, at least one, of messages of which it is known when they were sent."""
        lowest = min(seq)
        begun_ns = sent_ns.rows(lowest, max(seq) + 1)
        seq, received_ns = self._first_of_each(seq, received_ns)
        latencies_ns = array("q", [at - begun_ns[number - lowest] for number, at in zip(seq, received_ns, strict=True)])
        if self._timeout_ns is not None:
            in_time = [latency_ns <= self._timeout_ns for latency_ns in latencies_ns]
            self.late += in_time.count(False)
            seq, received_ns, latencies_ns = (
                array("q", compress(each, in_time)) for each in (seq, received_ns, latencies_ns)
            )
        for number in seq:
            self.arrived[number] = 1
        self.sequence.extend(seq)
        self.received_ns.extend(received_ns)
        self.latencies_ns.extend(latencies_ns)

    def _first_of_each(self, seq: array[int], received_ns: array[int]) -> tuple[array[int], array[int]]:
        """The arrivals but for duplicates, which are counted."""
        seen = self._seen
        if len(set(seq)) < len(seq) or any(map(seen.__getitem__, seq)):
            first = []
            for number in seq:
                first.append(not seen[number])
                seen[number] = 1
            self.duplicates += first.count(False)
            return array("q", compress(seq, first)), array("q", compress(received_ns, first))
        for number in seq:
            seen[number] = 1
        return seq, received_ns

    def put_counts(self, figures: Figures) -> None:
        """Set how many were sent, delivered and lost."""
        sent, delivered = len(self.arrived), len(self.sequence)
        figures.put("sent", sent)
        figures.put("delivered", delivered)
        figures.put("lost", sent - delivered)
        figures.put("loss_ratio", (sent - delivered) / sent if sent else None, unless="nothing was sent")

    def put_loss(self, figures: Figures) -> None:
        """Set how the losses lie, and the duplicates."""
        runs = longest = 0
        for run in _LOSSES.finditer(self.arrived):
            runs += 1
            longest = max(longest, run.end() - run.start())
        lost = len(self.arrived) - len(self.sequence)
        figures.put("duplicates", self.duplicates)
        figures.put("loss_runs", runs)
        figures.put("loss_run_mean", lost / runs if runs else None, unless="nothing was lost")
        figures.put("loss_run_max", longest or None, unless="nothing was lost")

    def put_latency(self, figures: Figures) -> None:
        """Set the latencies."""
        found = (
            [min(self.latencies_ns), *metrics.percentiles(self.latencies_ns, (50, 90, 99, 100))]
            if self.sequence
            else []
        )
        for name in ("min", "p50", "p90", "p99", "max"):
            figures.put(f"latency_{name}_ns", found.pop(0) if found else None, unless=NOTHING_DELIVERED)

    def put_stream(self, figures: Figures, size: int) -> None:
        """Set how much was delivered of a stream of messages of `size` bytes, how fast and how evenly."""
        delivered = len(self.sequence)
        figures.put("sent_bytes", len(self.arrived) * size)
        figures.put("delivered_bytes", delivered * size)
        lasted_ns = self.received_ns[delivered - 1] - self.received_ns[0] if delivered else 0
        goodput = metrics.rate_bps((delivered - 1) * size, lasted_ns)
        figures.put("goodput_bps", goodput, unless="a rate needs two arrivals")
        jitter_ns = metrics.jitter_ns(self.latencies_ns)
        figures.put("jitter_ns", None if jitter_ns is None else round(jitter_ns), unless="jitter needs two arrivals")
