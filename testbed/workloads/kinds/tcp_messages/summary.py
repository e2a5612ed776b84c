"""The summary of tcp-messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.tcp import Tcp
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class TcpMessagesSummariser(Tcp):
    """Makes the summary of tcp-messages workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        self.put_messages(figures)
        self.put_tls(figures)
        return self.summary(figures)

    def put_messages(self, figures: Figures) -> None:
        """Set the metrics of messages over one connection."""
        sender, receiver, size = self.client, self.server, self.workload.number("size_bytes")
        messages = self.messages.finished()
        messages.put_counts(figures)
        messages.put_latency(figures)
        messages.put_stream(figures, size)
        first_ns = receiver["first_byte_ns"]
        first_byte_ns = first_ns - self.begun_ns[0] if first_ns and self.begun_ns else None
        figures.put("first_byte_ns", first_byte_ns, unless=NOTHING_DELIVERED)
        self.put_lateness(figures, start_ns=sender["start_ns"])
        figures.put("retransmits", sender["retransmits"])
        self.put_connections(figures)
        self.put_state(figures)
