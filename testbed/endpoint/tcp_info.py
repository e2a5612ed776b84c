"""The state of a TCP sender as the kernel tells it: struct tcp_info of include/uapi/linux/tcp.h."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple


class _Field(NamedTuple):
    name: str
    offset: int
    form: str
    scale: int = 1


_MICROSECONDS = 1000
_FIELDS = (
    _Field("state", 0, "B"),
    _Field("ca_state", 1, "B"),
    _Field("lost", 32, "I"),
    _Field("rtt_ns", 68, "I", _MICROSECONDS),
    _Field("rttvar_ns", 72, "I", _MICROSECONDS),
    _Field("ssthresh", 76, "I"),
    _Field("cwnd", 80, "I"),
    _Field("reordering", 88, "I"),
    _Field("retransmits", 100, "I"),
    _Field("pacing_rate", 104, "Q"),
    _Field("bytes_acked", 120, "Q"),
    _Field("delivery_rate", 160, "Q"),
    _Field("busy_ns", 168, "Q", _MICROSECONDS),
    _Field("rwnd_limited_ns", 176, "Q", _MICROSECONDS),
    _Field("sndbuf_limited_ns", 184, "Q", _MICROSECONDS),
)
_LONGEST = 512
_LARGEST = (1 << 63) - 1


def parse(raw: bytes) -> dict[str, int]:
    """The fields of a struct tcp_info; those that an older kernel's shorter struct does not have are left out.

    Returns:
        `state` and `ca_state` (numbers of the kernel's), `lost` (segments now thought lost), `rtt_ns` (smoothed) and
        `rttvar_ns`, `ssthresh` and `cwnd` (segments), `reordering` (segments), `retransmits` (segments, so far),
        `pacing_rate` and `delivery_rate` (bytes/s; the largest signed 64-bit integer where unlimited), `bytes_acked`,
        and how long the sender was busy, and held up by the receiver's window and by its own send buffer.
    """
    return {
        field.name: min(struct.unpack_from(f"={field.form}", raw, field.offset)[0] * field.scale, _LARGEST)
        for field in _FIELDS
        if field.offset + struct.calcsize(f"={field.form}") <= len(raw)
    }


def read(connection: socket.socket) -> dict[str, int]:
    """The state of `connection` now, see `parse`."""
    return parse(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LONGEST))
