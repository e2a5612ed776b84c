"""The summaries of the TCP kinds."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from testbed.endpoint.columns import decode
from testbed.workloads import metrics
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.model import Workload


class Tcp(Base):
    """What the TCP kinds have: connections."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.begun_ns = array("q")
        self._connected_ns = array("q")
        self._congestion: str | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""
        super().add(record)
        if record["event"] == "connections":
            self.begun_ns.extend(decode(record["begun_ns"]))
            self._connected_ns.extend(decode(record["connected_ns"]))
        elif record["event"] == "congestion":
            self._congestion = record["name"]

    def put_connections(self, figures: Figures) -> None:
        """Set what is known of the connections."""
        times = sorted(done - begun for begun, done in zip(self.begun_ns, self._connected_ns, strict=True))
        none = "no connection was set up"
        figures.put("setup_ns", metrics.percentile(times, 50) if times else None, unless=none)
        figures.put("connections", len(times))
        figures.put("congestion", self._congestion, unless=none)


class TcpStream(Tcp):
    """tcp-stream."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        sender, receiver = self.initiator, self.listener
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
        return self.summary(figures)


class TcpRequestResponse(Tcp):
    """tcp-rr."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        figures.put("retransmits", self.initiator["retransmits"] + self.listener["retransmits"])
        arrivals = self.messages.arrivals()
        arrivals.put_counts(figures)
        arrivals.put_latency(figures)
        self.put_connections(figures)
        return self.summary(figures)
