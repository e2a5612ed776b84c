"""The summaries of the UDP kinds."""

from __future__ import annotations

from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary

_SECOND = 1_000_000_000


class UdpStream(Base):
    """udp-stream."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        sent, receiver, size = self.initiator["count"], self.listener, self.workload.parameters["size_bytes"]
        if sent != len(self.messages.sent_ns):
            raise WorkloadError("incomplete-record", f"{sent} datagrams were sent, {len(self.messages.sent_ns)} noted")
        arrivals = self.messages.arrivals()
        delivered = len(arrivals.sequence)
        arrivals.put_counts(figures)
        arrivals.put_loss(figures)
        arrivals.put_latency(figures)
        figures.put("reordered", metrics.reordered(arrivals.sequence))
        figures.put("sent_bytes", sent * int(size))
        figures.put("delivered_bytes", delivered * int(size))
        first_ns, last_ns = (arrivals.received_ns[0], arrivals.received_ns[-1]) if delivered else (0, 0)
        goodput = metrics.rate_bps((delivered - 1) * int(size), last_ns - first_ns)
        figures.put("goodput_bps", goodput, unless="a rate needs two arrivals")
        first_byte_ns = first_ns - self.messages.sent_ns[0] if delivered else None
        figures.put("first_byte_ns", first_byte_ns, unless=NOTHING_DELIVERED)
        jitter_ns = metrics.jitter_ns(arrivals.sent_ns, arrivals.received_ns)
        figures.put("jitter_ns", None if jitter_ns is None else round(jitter_ns), unless="jitter needs two arrivals")
        figures.put("receiver_drops", receiver["drops"])
        figures.put("strangers", receiver["strangers"])
        figures.put("pacing_late_p99_ns", self._pacing_late_ns(int(size)), unless="nothing was sent")
        return self.summary(figures)

    def _pacing_late_ns(self, size: int) -> int | None:
        """How late the 99th of 100 datagrams was sent."""
        rate, start_ns = int(self.workload.parameters["rate_bps"]), self.initiator["start_ns"]
        bits = 8 * size * _SECOND
        late = sorted(at - start_ns - number * bits // rate for number, at in enumerate(self.messages.sent_ns))
        return metrics.percentile(late, 99) if late else None


class UdpRequestResponse(Base):
    """udp-rr."""

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        arrivals = self.messages.arrivals(int(self.workload.parameters["timeout_ns"]))
        arrivals.put_counts(figures)
        arrivals.put_loss(figures)
        arrivals.put_latency(figures)
        figures.put("late", arrivals.late)
        figures.put("receiver_drops", self.listener["drops"])
        figures.put("strangers", self.initiator["strangers"] + self.listener["strangers"])
        return self.summary(figures)
