"""From the lines of a record to a summary, one class per kind; bounded by the record's columns, not its lines."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Protocol

from testbed.endpoint.columns import decode
from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import NOTHING_DELIVERED, Messages
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.model import Workload

_SECOND = 1_000_000_000


class Summariser(Protocol):
    """Makes the summary of one workload, line by line."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""

    def finish(self) -> Summary:
        """The summary of all lines.

        Raises:
            WorkloadError: lines are missing.
        """


class _Base:
    """What all have: the endpoints' last lines, and the messages."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.messages = Messages()
        self._ends: dict[str, Mapping[str, Any]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""
        self.messages.add(record)
        if record["event"] == "end":
            self._ends[record["node"]] = record

    def end(self, node: str) -> Mapping[str, Any]:
        """The last line of the endpoint in a node.

        Raises:
            WorkloadError: there is none.
        """
        if node not in self._ends:
            raise WorkloadError(
                "incomplete-record", f"workload {self.workload.name}: the record of the endpoint in {node} has no end"
            )
        return self._ends[node]

    @property
    def initiator(self) -> Mapping[str, Any]:
        """The last line of the endpoint in the source."""
        return self.end(self.workload.source)

    @property
    def listener(self) -> Mapping[str, Any]:
        """The last line of the endpoint in the destination."""
        return self.end(self.workload.destination)

    def summary(self, figures: Figures) -> Summary:
        """The summary of these figures."""
        return figures.summary(self.workload.name, self.workload.kind)


class _Tcp(_Base):
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


class TcpStream(_Tcp):
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


class TcpRequestResponse(_Tcp):
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


class UdpStream(_Base):
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


class UdpRequestResponse(_Base):
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


class Ping(_Base):
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
