"""tcp-rr: requests and responses over TCP, one after the other."""

from typing import Literal, get_args

from testbed.kinds import Kind
from testbed.parameters import CONGESTION, COUNT, TLS, Integer, Text
from testbed.workloads.kinds import LATENCIES, MESSAGES, TCP

Connect = Literal["once", "each"]

KIND = Kind(
    name="tcp-rr",
    package=__name__,
    protocols=("tcp",),
    keys="TcpRr",
    summary="TcpRrSummariser",
    metrics=(*MESSAGES, *LATENCIES, *TCP),
    parameters={
        "count": COUNT,
        "size_bytes": Integer(),
        "reply_bytes": Integer(),
        "connect": Text(choices=get_args(Connect)),
        "congestion": CONGESTION,
        "tls": TLS,
    },
)
