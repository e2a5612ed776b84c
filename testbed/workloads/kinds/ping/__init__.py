"""ping: ICMP echo requests."""

from testbed.kinds import Kind
from testbed.parameters import COUNT, Integer
from testbed.workloads.kinds import LATENCIES, LOSSES, MESSAGES

KIND = Kind(
    name="ping",
    package=__name__,
    protocols=("icmp",),
    keys="Ping",
    summary="PingSummariser",
    metrics=(*MESSAGES, *LATENCIES, *LOSSES, "reordered", "pacing_late_p99_ns"),
    parameters={"count": COUNT, "interval_ns": Integer(), "size_bytes": Integer(least=0, most=65507)},
    has_server=False,
    connectionless=True,
)
