"""The quantity in a column of samples: its label, its unit, and which values mean that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE = 1 << 62
"""Numbers from this one on stand for "unlimited"."""

_INFINITE_SSTHRESH = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH of include/net/tcp.h
_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnQuantity:
    """The quantity in a column.

    Attributes:
        label: shown to readers.
        unit: of the values multiplied by `factor`: `ns`, `bit/s`, `bytes`, `ratio`, `percent` or `count`.
        factor: converts a value of the column to the unit.
        total: whether the column is a running total, of which the growth is plotted: per second, or per ns for `_ns`
            columns.
        below: values from this one on mean that there is none.
    """

    label: str
    unit: str
    factor: float = 1
    total: bool = False
    below: int = _NONE


_UNITS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "_ns": ("ns", 1),
        "_us": ("ns", 1e3),
        "_ms": ("ns", 1e6),
        "_s": ("ns", 1e9),
        "_bps": ("bit/s", 1),
        "bits_per_second": ("bit/s", 1),
        "_ratio": ("ratio", 1),
        "_percent": ("percent", 1),
        "bytes": ("bytes", 1),
    }
)
"""Unit and factor by the suffix of a column's name. A column with none of these suffixes is a count."""

_NAMELESS = {"bits_per_second": "rate", "bytes": "data"}

_TCP_INFO: Mapping[str, ColumnQuantity] = MappingProxyType(
    {
        "rtt_ns": ColumnQuantity(label="smoothed round-trip time", unit="ns"),
        "rttvar_ns": ColumnQuantity(label="its mean deviation", unit="ns"),
        "rto_ns": ColumnQuantity(label="retransmission time-out", unit="ns"),
        "backoff": ColumnQuantity(label="time-outs in a row", unit="count"),
        "unacked": ColumnQuantity(label="in flight, segments", unit="count"),
        "sacked": ColumnQuantity(label="of them SACKed", unit="count"),
        "retrans_out": ColumnQuantity(label="of them sent again", unit="count"),
        "min_rtt_ns": ColumnQuantity(label="least round-trip time", unit="ns"),
        "cwnd": ColumnQuantity(label="congestion window, segments", unit="count"),
        "ssthresh": ColumnQuantity(label="slow-start threshold", unit="count", below=_INFINITE_SSTHRESH),
        "retransmits": ColumnQuantity(label="segments sent again, per s", unit="count", total=True),
        "lost": ColumnQuantity(label="of them thought lost", unit="count"),
        "reordering": ColumnQuantity(label="reordering seen, segments", unit="count"),
        "pacing_rate": ColumnQuantity(label="pacing rate", unit="bit/s", factor=_BITS),
        "delivery_rate": ColumnQuantity(label="delivery rate", unit="bit/s", factor=_BITS),
        "bytes_acked": ColumnQuantity(label="acknowledged", unit="bit/s", factor=_BITS, total=True),
        "bytes_sent": ColumnQuantity(label="sent", unit="bit/s", factor=_BITS, total=True),
        "bytes_retrans": ColumnQuantity(label="sent again", unit="bit/s", factor=_BITS, total=True),
        "bytes_received": ColumnQuantity(label="received", unit="bit/s", factor=_BITS, total=True),
        "notsent_bytes": ColumnQuantity(label="waiting to be sent", unit="bytes"),
        "send_queue_bytes": ColumnQuantity(label="sent and not acknowledged, or waiting", unit="bytes"),
        "receive_queue_bytes": ColumnQuantity(label="waiting to be read", unit="bytes"),
        "busy_ns": ColumnQuantity(label="busy", unit="ratio", total=True),
        "rwnd_limited_ns": ColumnQuantity(label="held up by the receiver's window", unit="ratio", total=True),
        "sndbuf_limited_ns": ColumnQuantity(label="held up by the send buffer", unit="ratio", total=True),
        "dsack_dups": ColumnQuantity(label="needless copies (DSACK), per s", unit="count", total=True),
        "reord_seen": ColumnQuantity(label="reordering events, per s", unit="count", total=True),
        "delivered": ColumnQuantity(label="segments delivered, per s", unit="count", total=True),
        "delivered_ce": ColumnQuantity(label="of them marked congested (ECN), per s", unit="count", total=True),
        "segs_out": ColumnQuantity(label="segments sent, per s", unit="count", total=True),
        "segs_in": ColumnQuantity(label="segments received, per s", unit="count", total=True),
    }
)
"""The columns of lines `tcp-info` (struct tcp_info of include/uapi/linux/tcp.h)."""


def quantity(event: str, name: str) -> ColumnQuantity:
    """Return the quantity in the column `name` of lines `event`; for an unknown column it follows from the name."""
    if event == "tcp-info" and name in _TCP_INFO:
        return _TCP_INFO[name]
    suffix = next((ending for ending in _UNITS if name.endswith(ending)), "")
    unit, factor = _UNITS.get(suffix, ("count", 1))
    label = name.removesuffix(suffix).replace("_", " ").strip() or _NAMELESS[suffix]
    return ColumnQuantity(label=label, unit=unit, factor=factor)
