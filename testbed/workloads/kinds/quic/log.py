"""Sample the state of the sender of a QUIC connection, as TCP_INFO does for TCP."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from aioquic.quic.logger import QuicLogger, QuicLoggerTrace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.endpoint.owner import Owner

SAMPLE_NS = 100_000_000

_COLUMNS = {
    "smoothed_rtt": ("rtt_ns", 1_000_000),
    "min_rtt": ("min_rtt_ns", 1_000_000),
    "cwnd": ("cwnd_bytes", 1),
    "bytes_in_flight": ("in_flight_bytes", 1),
}
"""The metrics of aioquic that are kept: the name of the column, and the factor from aioquic's unit (times in ms)."""


class Log(QuicLogger):
    """Receives aioquic's log events on congestion control and losses.

    Attributes:
        lost: the number of packets detected as lost so far, whose data is sent again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self._state: dict[str, int] = {}
        self._rows: list[dict[str, int]] = []
        self._due_ns = 0

    def start_trace(self, is_client: bool, odcid: bytes) -> QuicLoggerTrace:  # noqa: FBT001 (aioquic's signature)
        """Return the object to which a connection logs."""
        return _Trace(self, is_client=is_client, odcid=odcid)

    def end_trace(self, trace: QuicLoggerTrace) -> None:
        """Do nothing: no trace is kept."""

    def add(self, data: Mapping[str, float]) -> None:
        """Update the state with the changed values, and keep a sample of it if one is due."""
        for name, (column, scale) in _COLUMNS.items():
            if name in data:
                self._state[column] = round(data[name] * scale)
        now = monotonic_ns()
        if now >= self._due_ns and len(self._state) == len(_COLUMNS):
            self._due_ns = now + SAMPLE_NS
            self._rows.append({"at_ns": now, **self._state, "lost": self.lost})

    def write(self, owner: Owner) -> None:
        """Write the samples."""
        if self._rows:
            owner.emit_columns("quic-info", {name: [row[name] for row in self._rows] for name in self._rows[0]})


class _Trace(QuicLoggerTrace):
    """Receives the events of a connection; the base class would keep all of them."""

    def __init__(self, log: Log, *, is_client: bool, odcid: bytes) -> None:
        super().__init__(is_client=is_client, odcid=odcid)
        self._log = log

    def log_event(self, *, category: str, event: str, data: dict[str, Any]) -> None:
        """Process an event."""
        if category == "recovery" and event == "metrics_updated":
            self._log.add(data)
        elif category == "recovery" and event == "packet_lost":
            self._log.lost += 1
