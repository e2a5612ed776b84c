"""quic: messages at a steady rate over one QUIC connection."""

import struct
from typing import Literal, get_args

from testbed.kinds import Kind
from testbed.parameters import Integer, Text
from testbed.workloads.kinds import BYTES, LATENCIES, MESSAGES

Streams = Literal["each", "one"]
Congestion = Literal["reno", "cubic"]

HEADER = struct.Struct("!I")
"""The sequence number that a message begins with, since messages in different streams may arrive in any order."""

KIND = Kind(
    name="quic",
    package=__name__,
    protocols=("udp",),
    keys="Quic",
    summary="QuicSummariser",
    metrics=(
        *MESSAGES,
        *LATENCIES,
        "reordered",
        *BYTES,
        "setup_ns",
        "connections",
        "jitter_ns",
        "pacing_late_p99_ns",
        "retransmits",
        "congestion",
        "rtt_min_ns",
        "rtt_p50_ns",
    ),
    parameters={
        "rate_bps": Integer(),
        "size_bytes": Integer(least=HEADER.size),
        "duration_ns": Integer(),
        "streams": Text(choices=get_args(Streams)),
        "congestion": Text(choices=get_args(Congestion)),
    },
)
