"""The summary of ping."""

from __future__ import annotations

from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary


class PingSummariser(Base):
    """Makes the summary of ping workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        start_ns = self.client.get("start_ns")  # not in records of testbed 0.1
        messages = self.messages.finished()
        messages.put_counts(figures)
        messages.put_loss(figures)
        messages.put_latency(figures)
        figures.put("reordered", messages.ledger.reordered)
        if start_ns is None:
            figures.put("pacing_late_p99_ns", None, unless="when the first request was due is not recorded")
        else:
            self.put_lateness(figures, start_ns=start_ns)
        return self.summary(figures)
