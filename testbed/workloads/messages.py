"""Messages with sequence numbers: which arrived, when, how often and in which order."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from testbed.endpoint.columns import decode
from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.workloads.summary import Figures

NOTHING_DELIVERED = "nothing was delivered"


class Messages:
    """What the lines `sent` and `received` of a record tell.

    Attributes:
        sent_ns: per sequence number.
    """

    def __init__(self) -> None:
        self.sent_ns = array("q")
        self._seq = array("q")
        self._received_ns = array("q")

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
            self.sent_ns.extend(decode(record["sent_ns"]))
        elif record["event"] == "received":
            self._seq.extend(decode(record["seq"]))
            self._received_ns.extend(decode(record["received_ns"]))

    def arrivals(self, timeout_ns: int | None = None) -> Arrivals:
        """The arrivals, sorted out.

        Args:
            timeout_ns: arrivals later than this after the sending don't count as delivered.

        Raises:
            WorkloadError: a message arrived that was never sent.
        """
        return Arrivals(self.sent_ns, self._seq, self._received_ns, timeout_ns)


class Arrivals:
    """What became of the messages.

    Attributes:
        arrived: per message sent, 1 if it was delivered, else 0.
        sequence: numbers of the delivered, each once, in order of arrival.
        sent_ns, received_ns: of those, in the same order.
        duplicates: arrivals of what had arrived before.
        late: messages that arrived, but after the time-out.
    """

    def __init__(
        self, sent_ns: array[int], seq: array[int], received_ns: array[int], timeout_ns: int | None = None
    ) -> None:
        self.arrived = bytearray(len(sent_ns))
        self.sequence, self.sent_ns, self.received_ns = array("q"), array("q"), array("q")
        self.duplicates = self.late = 0
        seen = bytearray(len(sent_ns))
        for number, at_ns in zip(seq, received_ns, strict=True):
            if number >= len(sent_ns):
                raise WorkloadError("unknown-message", f"message {number} arrived; only {len(sent_ns)} were sent")
            if seen[number]:
                self.duplicates += 1
                continue
            seen[number] = 1
            if timeout_ns is not None and at_ns - sent_ns[number] > timeout_ns:
                self.late += 1
                continue
            self.arrived[number] = 1
            self.sequence.append(number)
            self.sent_ns.append(sent_ns[number])
            self.received_ns.append(at_ns)

    def put_counts(self, figures: Figures) -> None:
        """Set how many were sent, delivered and lost."""
        sent, delivered = len(self.arrived), len(self.sequence)
        figures.put("sent", sent)
        figures.put("delivered", delivered)
        figures.put("lost", sent - delivered)
        figures.put("loss_ratio", (sent - delivered) / sent if sent else None, unless="nothing was sent")

    def put_loss(self, figures: Figures) -> None:
        """Set how the losses lie, and the duplicates."""
        runs = metrics.loss_runs(self.arrived)
        figures.put("duplicates", self.duplicates)
        figures.put("loss_runs", len(runs))
        figures.put("loss_run_mean", sum(runs) / len(runs) if runs else None, unless="nothing was lost")
        figures.put("loss_run_max", max(runs) if runs else None, unless="nothing was lost")

    def put_latency(self, figures: Figures) -> None:
        """Set the latencies."""
        ordered = sorted(at - sent for sent, at in zip(self.sent_ns, self.received_ns, strict=True))
        figures.put("latency_min_ns", ordered[0] if ordered else None, unless=NOTHING_DELIVERED)
        for percent in (50, 90, 99):
            value = metrics.percentile(ordered, percent) if ordered else None
            figures.put(f"latency_p{percent}_ns", value, unless=NOTHING_DELIVERED)
        figures.put("latency_max_ns", ordered[-1] if ordered else None, unless=NOTHING_DELIVERED)

    def put_stream(self, figures: Figures, size: int) -> None:
        """Set how much was delivered of a stream of messages of `size` bytes, how fast and how evenly."""
        delivered = len(self.sequence)
        figures.put("sent_bytes", len(self.arrived) * size)
        figures.put("delivered_bytes", delivered * size)
        lasted_ns = self.received_ns[-1] - self.received_ns[0] if delivered else 0
        goodput = metrics.rate_bps((delivered - 1) * size, lasted_ns)
        figures.put("goodput_bps", goodput, unless="a rate needs two arrivals")
        jitter_ns = metrics.jitter_ns(self.sent_ns, self.received_ns)
        figures.put("jitter_ns", None if jitter_ns is None else round(jitter_ns), unless="jitter needs two arrivals")
