"""udp-rr: requests and responses over UDP, one after the other; a lost one is not repeated."""

from testbed.kinds import Kind
from testbed.parameters import COUNT, DATAGRAM, Integer
from testbed.workloads.kinds import FOREIGN, LATENCIES, LOSSES, MESSAGES

KIND = Kind(
    name="udp-rr",
    package=__name__,
    protocols=("udp",),
    keys="UdpRr",
    summary="UdpRrSummariser",
    metrics=(*MESSAGES, *LATENCIES, *LOSSES, "late", *FOREIGN),
    parameters={"count": COUNT, "size_bytes": DATAGRAM, "reply_bytes": DATAGRAM, "timeout_ns": Integer()},
    connectionless=True,
)
