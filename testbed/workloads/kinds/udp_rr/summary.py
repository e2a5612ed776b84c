"""The summary of udp-rr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.plan.workloads import Workload
    from testbed.workloads.summary import Summary


class UdpRrSummariser(Base):
    """Makes the summary of udp-rr workloads."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload, timeout_ns=workload.number("timeout_ns"))

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        messages = self.messages.finished()
        messages.put_counts(figures)
        messages.put_loss(figures)
        messages.put_latency(figures)
        figures.put("late", messages.ledger.late)
        figures.put("receiver_drops", self.server["drops"])
        for name in ("corrupted", "strangers"):
            figures.put(name, self.client[name] + self.server[name])
        return self.summary(figures)
