"""The state of a TCP connection as the kernel reports it by getsockopt and by inet_diag.

Struct tcp_info is defined in include/uapi/linux/tcp.h, the additions of congestion controls in
include/uapi/linux/inet_diag.h. Newer kernels append fields; a field that this machine's kernel lacks is left out, not
reported as zero.
"""

from __future__ import annotations

import struct
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

STATES: Mapping[int, str] = MappingProxyType(
    {
        1: "ESTABLISHED",
        2: "SYN-SENT",
        3: "SYN-RECEIVED",
        4: "FIN-WAIT-1",
        5: "FIN-WAIT-2",
        6: "TIME-WAIT",
        7: "CLOSED",
        8: "CLOSE-WAIT",
        9: "LAST-ACK",
        10: "LISTEN",
        11: "CLOSING",
        12: "SYN-RECEIVED",
    }
)
"""Names (RFC 9293, 3.3.2) of the kernel's numbers (include/net/tcp_states.h); 3 and 12 are two forms of one."""


class _Field(NamedTuple):
    name: str
    offset: int
    form: str
    scale: int = 1


_MICROSECONDS = 1000
_BITS = 8
_FIELDS = (
    _Field("state", 0, "B"),
    _Field("ca_state", 1, "B"),
    _Field("backoff", 4, "B"),
    _Field("rto_ns", 8, "I", _MICROSECONDS),
    _Field("mss_bytes", 16, "I"),
    _Field("unacked", 24, "I"),
    _Field("sacked", 28, "I"),
    _Field("lost", 32, "I"),
    _Field("retrans_out", 36, "I"),
    _Field("rtt_ns", 68, "I", _MICROSECONDS),
    _Field("rttvar_ns", 72, "I", _MICROSECONDS),
    _Field("ssthresh", 76, "I"),
    _Field("cwnd", 80, "I"),
    _Field("reordering", 88, "I"),
    _Field("retransmits", 100, "I"),
    _Field("pacing_rate", 104, "Q"),
    _Field("bytes_acked", 120, "Q"),
    _Field("bytes_received", 128, "Q"),
    _Field("segs_out", 136, "I"),
    _Field("segs_in", 140, "I"),
    _Field("notsent_bytes", 144, "I"),
    _Field("min_rtt_ns", 148, "I", _MICROSECONDS),
    _Field("delivery_rate", 160, "Q"),
    _Field("busy_ns", 168, "Q", _MICROSECONDS),
    _Field("rwnd_limited_ns", 176, "Q", _MICROSECONDS),
    _Field("sndbuf_limited_ns", 184, "Q", _MICROSECONDS),
    _Field("delivered", 192, "I"),
    _Field("delivered_ce", 196, "I"),
    _Field("bytes_sent", 200, "Q"),
    _Field("bytes_retrans", 208, "Q"),
    _Field("dsack_dups", 216, "I"),
    _Field("reord_seen", 220, "I"),
)
_LARGEST = (1 << 63) - 1
_NO_MIN_RTT_NS = 0xFFFF_FFFF * _MICROSECONDS  # include/linux/win_minmax.h starts at ~0

_FLAGS = struct.Struct("=7xB")
_APP_LIMITED = 0x01 if sys.byteorder == "little" else 0x80  # the first bit-field of its byte
_APP_LIMITED_LENGTH = 168  # it came with tcpi_delivery_rate, in what had been padding


def parse(raw: bytes) -> dict[str, int]:
    """Parse the fields of a struct tcp_info that describe the state and progress of a connection.

    Returns:
        These fields, as far as the kernel has them:

        - `state` (see `STATES`) and `ca_state` (enum tcp_ca_state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss);
        - `rtt_ns` (smoothed), `rttvar_ns`, `min_rtt_ns` (once there is one), `rto_ns`, and `backoff`, how often that
          has doubled;
        - in segments `cwnd`, `ssthresh`, `reordering`, and what is in flight: `unacked`, of these `sacked`, `lost`
          (thought so) and `retrans_out` (sent again);
        - so far, in segments, `retransmits`, `delivered`, `delivered_ce` (marked by ECN), `dsack_dups` (needless
          copies), `segs_out`, `segs_in`; in events `reord_seen`; in bytes `bytes_acked`, `bytes_sent`,
          `bytes_retrans`, `bytes_received`;
        - in bytes/s `delivery_rate` and `pacing_rate` (the largest signed 64-bit integer where unlimited), and
          `app_limited`, 1 where the delivery rate was up to the application;
        - `mss_bytes`, `notsent_bytes`;
        - how long the sender was busy (`busy_ns`), and of that held up by the receiver's window (`rwnd_limited_ns`)
          and by its own send buffer (`sndbuf_limited_ns`).
    """
    found = _unpack(_FIELDS, raw)
    if found.get("min_rtt_ns") == _NO_MIN_RTT_NS:
        del found["min_rtt_ns"]
    if len(raw) >= _APP_LIMITED_LENGTH:
        found["app_limited"] = int(bool(_FLAGS.unpack_from(raw)[0] & _APP_LIMITED))
    return found


def _unpack(fields: tuple[_Field, ...], raw: bytes) -> dict[str, int]:
    return {
        field.name: min(struct.unpack_from(f"={field.form}", raw, field.offset)[0] * field.scale, _LARGEST)
        for field in fields
        if field.offset + struct.calcsize(f"={field.form}") <= len(raw)
    }


_VEGAS = (
    _Field("vegas_rtt_ns", 8, "I", _MICROSECONDS),
    _Field("vegas_min_rtt_ns", 12, "I", _MICROSECONDS),
)
_DCTCP = (
    _Field("dctcp_ce_state", 2, "H"),
    _Field("dctcp_alpha", 4, "I"),
    _Field("dctcp_marked_bytes", 8, "I"),
    _Field("dctcp_acked_bytes", 12, "I"),
)
_BBR = struct.Struct("=5I")
_BBR_UNIT = 256  # gains are in 1/256

_VEGAS_LIKE = ("vegas", "illinois", "westwood", "yeah", "nv")
"""Congestion controls that report struct tcpvegas_info."""


def parse_congestion(congestion: str, raw: bytes) -> dict[str, int]:
    """Parse the state of a congestion control (union tcp_cc_info); empty if it reports none.

    Args:
        congestion: its name.
        raw: the value of TCP_CC_INFO, or of INET_DIAG_VEGASINFO, _DCTCPINFO or _BBRINFO.

    Returns:
        Of bbr `bbr_bw_bps`, `bbr_min_rtt_ns`, `bbr_pacing_gain_percent`, `bbr_cwnd_gain_percent`; of dctcp
        `dctcp_alpha` (in 1/1024; RFC 8257, 3.3), `dctcp_ce_state`, and of the bytes acknowledged in the current window
        `dctcp_acked_bytes` those marked, `dctcp_marked_bytes`; of vegas and those like it `vegas_rtt_ns` and
        `vegas_min_rtt_ns`.
    """
    if congestion == "bbr" and len(raw) >= _BBR.size:
        low, high, min_rtt, pacing_gain, cwnd_gain = _BBR.unpack_from(raw)
        return {
            "bbr_bw_bps": min((high << 32 | low) * _BITS, _LARGEST),
            "bbr_min_rtt_ns": min_rtt * _MICROSECONDS,
            "bbr_pacing_gain_percent": pacing_gain * 100 // _BBR_UNIT,
            "bbr_cwnd_gain_percent": cwnd_gain * 100 // _BBR_UNIT,
        }
    if congestion == "dctcp":
        return _unpack(_DCTCP, raw)
    return _unpack(_VEGAS, raw) if congestion in _VEGAS_LIKE else {}
