"""What a column of samples counts: how to call it, in which unit to draw it, and what is no value of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.results.report.axes import ONE, PERCENT, Linear, Unit, rate_unit, size_unit, time_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NONE = 1 << 62
"""From here on a number stands for "unlimited"."""

_INFINITE_SSTHRESH = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH of include/net/tcp.h
_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a column counts.

    Attributes:
        label: for people.
        unit: by the greatest value, the unit to draw it in.
        worth: what one of the column is in `unit`'s own.
        total: it only grows, so that what counts is how much in a time: per second, or per ns of `_ns` columns.
        below: greater values mean that there is none.
    """

    label: str
    unit: Callable[[float], Unit]
    worth: float = 1
    total: bool = False
    below: int = _NONE

    def axis(self, most: float) -> tuple[Linear, str]:
        """An axis from zero for values up to `most`, and how to label it."""
        unit = self.unit(most)
        return Linear.up_to(most, unit), f"{self.label}, {unit.name}" if unit.name else self.label


def _count(_most: float) -> Unit:
    return ONE


def _share(_most: float) -> Unit:
    return PERCENT


def _percent(_most: float) -> Unit:
    return Unit(name="%", worth=1)


_UNITS: Mapping[str, tuple[Callable[[float], Unit], float]] = MappingProxyType(
    {
        "_ns": (time_unit, 1),
        "_us": (time_unit, 1e3),
        "_ms": (time_unit, 1e6),
        "_s": (time_unit, 1e9),
        "_bps": (rate_unit, 1),
        "bits_per_second": (rate_unit, 1),
        "_ratio": (_share, 1),
        "_percent": (_percent, 1),
        "bytes": (size_unit, 1),
    }
)
"""By the end of a name, the unit to draw it in, and what one of it is in that. What has none of them is counted."""

_NAMELESS = {"bits_per_second": "rate", "bytes": "data"}

_TCP_INFO: Mapping[str, Quantity] = MappingProxyType(
    {
        "rtt_ns": Quantity(label="smoothed round-trip time", unit=time_unit),
        "rttvar_ns": Quantity(label="its mean deviation", unit=time_unit),
        "rto_ns": Quantity(label="retransmission time-out", unit=time_unit),
        "backoff": Quantity(label="time-outs in a row", unit=_count),
        "unacked": Quantity(label="in flight, segments", unit=_count),
        "sacked": Quantity(label="of them SACKed", unit=_count),
        "retrans_out": Quantity(label="of them sent again", unit=_count),
        "min_rtt_ns": Quantity(label="least round-trip time", unit=time_unit),
        "cwnd": Quantity(label="congestion window, segments", unit=_count),
        "ssthresh": Quantity(label="slow-start threshold", unit=_count, below=_INFINITE_SSTHRESH),
        "retransmits": Quantity(label="segments sent again, per s", unit=_count, total=True),
        "lost": Quantity(label="of them thought lost", unit=_count),
        "reordering": Quantity(label="reordering seen, segments", unit=_count),
        "pacing_rate": Quantity(label="pacing rate", unit=rate_unit, worth=_BITS),
        "delivery_rate": Quantity(label="delivery rate", unit=rate_unit, worth=_BITS),
        "bytes_acked": Quantity(label="acknowledged", unit=rate_unit, worth=_BITS, total=True),
        "bytes_sent": Quantity(label="sent", unit=rate_unit, worth=_BITS, total=True),
        "bytes_retrans": Quantity(label="sent again", unit=rate_unit, worth=_BITS, total=True),
        "bytes_received": Quantity(label="received", unit=rate_unit, worth=_BITS, total=True),
        "notsent_bytes": Quantity(label="waiting to be sent", unit=size_unit),
        "send_queue_bytes": Quantity(label="sent and not acknowledged, or waiting", unit=size_unit),
        "receive_queue_bytes": Quantity(label="waiting to be read", unit=size_unit),
        "busy_ns": Quantity(label="busy", unit=_share, total=True),
        "rwnd_limited_ns": Quantity(label="held up by the receiver's window", unit=_share, total=True),
        "sndbuf_limited_ns": Quantity(label="held up by the send buffer", unit=_share, total=True),
        "dsack_dups": Quantity(label="needless copies (DSACK), per s", unit=_count, total=True),
        "reord_seen": Quantity(label="reordering events, per s", unit=_count, total=True),
        "delivered": Quantity(label="segments delivered, per s", unit=_count, total=True),
        "delivered_ce": Quantity(label="of them marked congested (ECN), per s", unit=_count, total=True),
        "segs_out": Quantity(label="segments sent, per s", unit=_count, total=True),
        "segs_in": Quantity(label="segments received, per s", unit=_count, total=True),
    }
)
"""The columns of lines `tcp-info` (struct tcp_info of include/uapi/linux/tcp.h)."""


def quantity(event: str, name: str) -> Quantity:
    """What the column `name` of lines `event` counts; of one that is not known, what its name says."""
    if event == "tcp-info" and name in _TCP_INFO:
        return _TCP_INFO[name]
    suffix = next((each for each in _UNITS if name.endswith(each)), "")
    unit, worth = _UNITS.get(suffix, (_count, 1))
    label = name.removesuffix(suffix).replace("_", " ").strip() or _NAMELESS[suffix]
    return Quantity(label=label, unit=unit, worth=worth)
