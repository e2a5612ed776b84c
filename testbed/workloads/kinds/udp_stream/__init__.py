"""udp-stream: datagrams at a steady rate."""

from testbed.kinds import Kind
from testbed.parameters import DATAGRAM, Flag, Integer
from testbed.workloads.kinds import BYTES, FOREIGN, LATENCIES, LOSSES, MESSAGES

KIND = Kind(
    name="udp-stream",
    package=__name__,
    protocols=("udp",),
    keys="UdpStream",
    summary="UdpStreamSummariser",
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
    parameters={
        "rate_bps": Integer(),
        "size_bytes": DATAGRAM,
        "duration_ns": Integer(),
        # of the check's probes, which a link's match selects: DSCP; protocol and source port of raw packets
        "dscp": Integer(least=0, most=63, required=False),
        "protocol": Integer(least=0, most=255, required=False),
        "source_port": Integer(most=65535, required=False),
        # of the check's probes of delay: arrivals are those in the kernel
        "kernel_times": Flag(required=False),
    },
    connectionless=True,
)
