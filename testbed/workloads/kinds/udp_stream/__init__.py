"""udp-stream: datagrams at a steady rate."""

from testbed.kinds import Kind
from testbed.parameters import DATAGRAM, Integer
from testbed.workloads.kinds import BYTES, FOREIGN, LATENCIES, LOSSES, MESSAGES

KIND = Kind(
    name="udp-stream",
    package=__name__,
    keys="UdpStream",
    summary="UdpStream",
    metrics=(
        *MESSAGES,
        *LATENCIES,
        *LOSSES,
        "reordered",
        *BYTES,
        "jitter_ns",
        *FOREIGN,
        "pacing_late_p99_ns",
    ),
    parameters={"rate_bps": Integer(), "size_bytes": DATAGRAM, "duration_ns": Integer()},
    connectionless=True,
)
