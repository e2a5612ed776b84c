"""What the summaries of the TCP kinds share, with QUIC, which takes the place of TCP and TLS."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from testbed.records import Congestion, Connections, Table
from testbed.workloads import metrics
from testbed.workloads.summarisers.base import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.plan.model import Workload
    from testbed.records import Event
    from testbed.workloads.summary import Figures


class Tcp(Base):
    """What the TCP kinds have: connections, and the client's state over time."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.begun_ns = array("q")
        self._connected_ns = array("q")
        self._secured_ns = array("q")
        self._congestion: str | None = None
        self._rtt_ns = array("q")
        self._latest: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Take in the next event of the record."""
        super().add(event)
        if isinstance(event, Connections):
            self.begun_ns.extend(event.begun_ns)
            self._connected_ns.extend(event.connected_ns)
            self._secured_ns.extend(event.secured_ns)
        elif isinstance(event, Congestion):
            self._congestion = event.name
        elif isinstance(event, Table) and event.event in _STATES:
            self._rtt_ns.extend(event.columns["rtt_ns"])
            self._latest = {name: event.columns[name][-1] for name in _LATEST if event.columns.get(name)}

    def put_connections(self, figures: Figures) -> None:
        """Set what is known of the connections."""
        self.put_set_ups(figures)
        figures.put("congestion", self._congestion, unless=_NO_CONNECTION)

    def put_set_ups(self, figures: Figures) -> None:
        """Set how long they took to set up, and how many there were."""
        ready_ns = self._secured_ns or self._connected_ns
        figures.put("setup_ns", _median(_differences(self.begun_ns, ready_ns)), unless=_NO_CONNECTION)
        figures.put("connections", len(ready_ns))

    def put_tls(self, figures: Figures) -> None:
        """Set what part of the set-up TLS is."""
        if self.workload.parameters.get("tls"):
            tls_ns = _median(_differences(self._connected_ns, self._secured_ns)) if self._secured_ns else None
            figures.put("tls_ns", tls_ns, unless=_NO_CONNECTION)
        else:
            figures.leave_out("tls_ns", why="TLS was not asked for")

    def put_state(self, figures: Figures) -> None:
        """Set what TCP says of the path."""
        none = "no connection carried it all, so none was sampled"
        figures.put("rtt_min_ns", self._latest.get("min_rtt_ns"), unless="TCP measured none" if self._rtt_ns else none)
        figures.put("rtt_p50_ns", _median(self._rtt_ns), unless=none)

    def put_limits(self, figures: Figures) -> None:
        """Set what kept the sender from sending more, where it was not the network."""
        busy_ns = self._latest.get("busy_ns", 0)
        for name in ("rwnd_limited", "sndbuf_limited"):
            ratio = self._latest[f"{name}_ns"] / busy_ns if busy_ns else None
            figures.put(f"{name}_ratio", ratio, unless="the sender was never seen busy")


_NO_CONNECTION = "no connection was set up"

_STATES = ("tcp-info", "quic-info")

_LATEST = ("min_rtt_ns", "busy_ns", "rwnd_limited_ns", "sndbuf_limited_ns")
"""Columns of which the last sample tells all."""


def _differences(before: Iterable[int], after: Iterable[int]) -> Iterator[int]:
    return (late - early for early, late in zip(before, after, strict=True))


def _median(values: Iterable[int]) -> int | None:
    ordered = sorted(values)
    return metrics.percentile(ordered, 50) if ordered else None
