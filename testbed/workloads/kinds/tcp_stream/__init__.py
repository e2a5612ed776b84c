"""tcp-stream: one TCP connection that carries as much as it can."""

from testbed.kinds import Kind
from testbed.parameters import CONGESTION, TLS, Integer
from testbed.workloads.kinds import BYTES, TCP

KIND = Kind(
    name="tcp-stream",
    package=__name__,
    protocols=("tcp",),
    keys="TcpStream",
    summary="TcpStreamSummariser",
    metrics=(*BYTES, *TCP, "rwnd_limited_ratio", "sndbuf_limited_ratio"),
    parameters={
        "duration_ns": Integer(required=False),
        "size_bytes": Integer(required=False),
        "congestion": CONGESTION,
        "tls": TLS,
    },
    one_of=frozenset({"duration_ns", "size_bytes"}),
)
