"""Compute the metrics of messages with sequence numbers: counts, losses, latencies and rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from testbed.endpoint.columns import Column
from testbed.records import Ledger
from testbed.workloads import metrics

if TYPE_CHECKING:
    from testbed.records import RecordEvent
    from testbed.workloads.summary import Figures

NOTHING_DELIVERED = "nothing was delivered"


class Messages:
    """The messages of one workload; all times are kept, on disk, so that all metrics are exact.

    Attributes:
        ledger: the ledger of sent and delivered messages.
        received_ns, latencies_ns: when each delivered message arrived, and how long after it was sent; in order of
            arrival.
    """

    def __init__(self, timeout_ns: int | None = None) -> None:
        """Begin without messages.

        Args:
            timeout_ns: how long after it was sent a message counts as delivered; None without a limit.
        """
        self.ledger = Ledger(timeout_ns)
        self.received_ns, self.latencies_ns = Column(), Column()

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record; events other than `sent` and `received` are ignored.

        Raises:
            RecordError: lines are missing.
        """
        for deliveries in self.ledger.add(event):
            self.received_ns.extend(deliveries.received_ns)
            self.latencies_ns.extend(deliveries.latencies_ns)

    def finished(self) -> Self:
        """Check the messages after the last event, and return them.

        Raises:
            RecordError: a message arrived that was never sent.
        """
        self.ledger.finish()
        return self

    def put_counts(self, figures: Figures) -> None:
        """Set how many were sent, delivered and lost."""
        sent, delivered = len(self.ledger), self.ledger.delivered
        figures.put("sent", sent)
        figures.put("delivered", delivered)
        figures.put("lost", sent - delivered)
        figures.put("loss_ratio", (sent - delivered) / sent if sent else None, unless="nothing was sent")

    def put_loss(self, figures: Figures) -> None:
        """Set the metrics of loss periods and duplicates."""
        runs = longest = 0
        for run in self.ledger.loss_runs():
            runs += 1
            longest = max(longest, len(run))
        lost = len(self.ledger) - self.ledger.delivered
        figures.put("duplicates", self.ledger.duplicates)
        figures.put("loss_runs", runs)
        figures.put("loss_run_mean", lost / runs if runs else None, unless="nothing was lost")
        figures.put("loss_run_max", longest or None, unless="nothing was lost")

    def put_latency(self, figures: Figures) -> None:
        """Set the latencies."""
        latencies_ns = (
            [min(self.latencies_ns), *metrics.percentiles(self.latencies_ns, (50, 90, 99, 100))]
            if self.latencies_ns
            else []
        )
        for name in ("min", "p50", "p90", "p99", "max"):
            figures.put(f"latency_{name}_ns", latencies_ns.pop(0) if latencies_ns else None, unless=NOTHING_DELIVERED)

    def put_stream(self, figures: Figures, size: int) -> None:
        """Set the bytes, the goodput and the jitter of a stream of messages of `size` bytes."""
        delivered = self.ledger.delivered
        figures.put("sent_bytes", len(self.ledger) * size)
        figures.put("delivered_bytes", delivered * size)
        lasted_ns = self.received_ns[delivered - 1] - self.received_ns[0] if delivered else 0
        goodput = metrics.rate_bps((delivered - 1) * size, lasted_ns)
        figures.put("goodput_bps", goodput, unless="a rate needs two arrivals")
        jitter_ns = metrics.jitter_ns(self.latencies_ns)
        figures.put("jitter_ns", None if jitter_ns is None else round(jitter_ns), unless="jitter needs two arrivals")
