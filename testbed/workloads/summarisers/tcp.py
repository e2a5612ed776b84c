"""The common part of the summaries of kinds with connections: TCP and QUIC."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from testbed.records import Congestion, ConnectionTimes, Table
from testbed.workloads import metrics
from testbed.workloads.summarisers.base import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent
    from testbed.workloads.summary import Figures


class Tcp(Base):
    """Collects the connections and the samples of the client's state."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.begun_ns = array("q")
        self._connected_ns = array("q")
        self._secured_ns = array("q")
        self._congestion: str | None = None
        self._rtt_ns = array("q")
        self._latest: dict[str, int] = {}

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""
        super().add(event)
        if isinstance(event, ConnectionTimes):
            self.begun_ns.extend(event.begun_ns)
            self._connected_ns.extend(event.connected_ns)
            self._secured_ns.extend(event.secured_ns)
        elif isinstance(event, Congestion):
            self._congestion = event.name
        elif isinstance(event, Table) and event.event in _STATES:
            self._rtt_ns.extend(event.columns["rtt_ns"])
            self._latest = {name: event.columns[name][-1] for name in _LATEST if event.columns.get(name)}

    def put_connections(self, figures: Figures) -> None:
        """Set the metrics of connections and the congestion control."""
        self.put_set_ups(figures)
        figures.put("congestion", self._congestion, unless=_NO_CONNECTION)

    def put_set_ups(self, figures: Figures) -> None:
        """Set the set-up time and the number of connections."""
        ready_ns = self._secured_ns or self._connected_ns
        figures.put("setup_ns", _median(_differences(self.begun_ns, ready_ns)), unless=_NO_CONNECTION)
        figures.put("connections", len(ready_ns))

    def put_tls(self, figures: Figures) -> None:
        """Set the part of the set-up time that TLS takes."""
        if self.workload.parameters.get("tls"):
            tls_ns = _median(_differences(self._connected_ns, self._secured_ns)) if self._secured_ns else None
            figures.put("tls_ns", tls_ns, unless=_NO_CONNECTION)
        else:
            figures.leave_out("tls_ns", why="TLS was not asked for")

    def put_state(self, figures: Figures) -> None:
        """Set the round-trip times that TCP measured."""
        none = "no connection carried it all, so none was sampled"
        figures.put("rtt_min_ns", self._latest.get("min_rtt_ns"), unless="TCP measured none" if self._rtt_ns else none)
        figures.put("rtt_p50_ns", _median(self._rtt_ns), unless=none)

    def put_limits(self, figures: Figures) -> None:
        """Set how long the receive window and the send buffer, rather than the network, limited the sender."""
        busy_ns = self._latest.get("busy_ns", 0)
        for name in ("rwnd_limited", "sndbuf_limited"):
            ratio = self._latest[f"{name}_ns"] / busy_ns if busy_ns else None
            figures.put(f"{name}_ratio", ratio, unless="the sender was never seen busy")


_NO_CONNECTION = "no connection was set up"

_STATES = ("tcp-info", "quic-info")

_LATEST = ("min_rtt_ns", "busy_ns", "rwnd_limited_ns", "sndbuf_limited_ns")
"""The columns of which only the last sample is used."""


def _differences(before: Iterable[int], after: Iterable[int]) -> Iterator[int]:
    return (late - early for early, late in zip(before, after, strict=True))


def _median(values: Iterable[int]) -> int | None:
    ordered = sorted(values)
    return metrics.percentile(ordered, 50) if ordered else None
