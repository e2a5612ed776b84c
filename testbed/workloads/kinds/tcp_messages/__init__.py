"""tcp-messages: messages at a steady rate over one TCP connection."""

from testbed.kinds import Kind
from testbed.parameters import CONGESTION, TLS, Integer
from testbed.workloads.kinds import BYTES, LATENCIES, MESSAGES, TCP

KIND = Kind(
    name="tcp-messages",
    package=__name__,
    protocols=("tcp",),
    keys="TcpMessages",
    summary="TcpMessagesSummariser",
    metrics=(*MESSAGES, *LATENCIES, *BYTES, "jitter_ns", "pacing_late_p99_ns", *TCP),
    parameters={
        "rate_bps": Integer(),
        "size_bytes": Integer(),
        "duration_ns": Integer(),
        "congestion": CONGESTION,
        "tls": TLS,
    },
)
