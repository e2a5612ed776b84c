"""The summary of udp-stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class UdpStreamSummariser(Base):
    """Makes the summary of udp-stream workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        sent, receiver, size = self.client["count"], self.server, self.workload.number("size_bytes")
        messages = self.messages.finished()
        if sent != len(messages.ledger):
            raise WorkloadError("incomplete-record", f"{sent} datagrams were sent, {len(messages.ledger)} noted")
        messages.put_counts(figures)
        messages.put_loss(figures)
        messages.put_latency(figures)
        figures.put("reordered", messages.ledger.reordered)
        messages.put_stream(figures, size)
        first_byte_ns = messages.received_ns[0] - self.messages.ledger.sent_ns[0] if messages.received_ns else None
        figures.put("first_byte_ns", first_byte_ns, unless=NOTHING_DELIVERED)
        figures.put("receiver_drops", receiver["drops"])
        figures.put("corrupted", receiver["corrupted"])
        figures.put("strangers", receiver["strangers"])
        self.put_lateness(figures, start_ns=self.client["start_ns"])
        return self.summary(figures)
