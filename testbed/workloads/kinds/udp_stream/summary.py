"""The summary of udp-stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class UdpStream(Base):
    """udp-stream."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        sent, receiver, size = self.client["count"], self.server, self.workload.number("size_bytes")
        if sent != len(self.messages.sent_ns):
            raise WorkloadError("incomplete-record", f"{sent} datagrams were sent, {len(self.messages.sent_ns)} noted")
        arrivals = self.messages.arrivals()
        arrivals.put_counts(figures)
        arrivals.put_loss(figures)
        arrivals.put_latency(figures)
        figures.put("reordered", metrics.reordered(arrivals.sequence))
        arrivals.put_stream(figures, size)
        first_byte_ns = arrivals.received_ns[0] - self.messages.sent_ns[0] if arrivals.received_ns else None
        figures.put("first_byte_ns", first_byte_ns, unless=NOTHING_DELIVERED)
        figures.put("receiver_drops", receiver["drops"])
        figures.put("corrupted", receiver["corrupted"])
        figures.put("strangers", receiver["strangers"])
        self.put_lateness(figures, start_ns=self.client["start_ns"])
        return self.summary(figures)
