"""The summary of tcp-stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads import metrics
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.tcp import Tcp
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class TcpStreamSummariser(Tcp):
    """Makes the summary of tcp-stream workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        sender, receiver = self.client, self.server
        first_ns, last_ns, delivered = receiver["first_byte_ns"], receiver["last_byte_ns"], receiver["bytes"]
        figures = Figures()
        figures.put("sent_bytes", sender["bytes"])
        figures.put("delivered_bytes", delivered)
        goodput = metrics.rate_bps(delivered, last_ns - first_ns)
        figures.put("goodput_bps", goodput, unless="everything arrived at once" if delivered else NOTHING_DELIVERED)
        first_byte_ns = first_ns - self.begun_ns[0] if delivered and self.begun_ns else None
        figures.put("first_byte_ns", first_byte_ns, unless=NOTHING_DELIVERED)
        figures.put("retransmits", sender["retransmits"])
        self.put_connections(figures)
        self.put_tls(figures)
        self.put_state(figures)
        self.put_limits(figures)
        return self.summary(figures)
