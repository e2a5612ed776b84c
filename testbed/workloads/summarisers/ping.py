"""The summary of ping."""

from __future__ import annotations

from testbed.workloads import metrics
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary


class Ping(Base):
    """ping."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        self.end(self.workload.source)
        arrivals = self.messages.arrivals()
        arrivals.put_counts(figures)
        arrivals.put_loss(figures)
        arrivals.put_latency(figures)
        figures.put("reordered", metrics.reordered(arrivals.sequence))
        return self.summary(figures)
