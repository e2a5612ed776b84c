"""What the sender of a QUIC connection knows, sampled: for a user-space protocol, what TCP_INFO is for TCP."""

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
"""What is kept of aioquic's metrics (its times are in ms), and what one of it is worth."""


class Log(QuicLogger):
    """What aioquic logs of its congestion control and its losses.

    Attributes:
        lost: packets that it found lost so far, whose data it sends again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self._state: dict[str, int] = {}
        self._rows: list[dict[str, int]] = []
        self._due_ns = 0

    def start_trace(self, is_client: bool, odcid: bytes) -> QuicLoggerTrace:  # noqa: FBT001 (aioquic's signature)
        """What a connection logs to."""
        return _Trace(self, is_client=is_client, odcid=odcid)

    def end_trace(self, trace: QuicLoggerTrace) -> None:
        """Nothing: no trace is kept."""

    def add(self, data: Mapping[str, float]) -> None:
        """Take in what has changed, and keep the whole of it if it is time for a sample."""
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
    """What a connection logs, which would otherwise all be kept."""

    def __init__(self, log: Log, *, is_client: bool, odcid: bytes) -> None:
        super().__init__(is_client=is_client, odcid=odcid)
        self._log = log

    def log_event(self, *, category: str, event: str, data: dict[str, Any]) -> None:
        """Take in an event."""
        if category == "recovery" and event == "metrics_updated":
            self._log.add(data)
        elif category == "recovery" and event == "packet_lost":
            self._log.lost += 1
