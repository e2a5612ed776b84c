"""http: requests for one resource, to a web server that the destination runs."""

from typing import Literal, get_args

from testbed.kinds import Kind
from testbed.parameters import CONGESTION, COUNT, Flag, Integer, Text, Texts
from testbed.workloads.kinds import BYTES, LATENCIES, MESSAGES

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Connect = Literal["once", "each"]

KIND = Kind(
    name="http",
    package=__name__,
    protocols=("tcp",),
    keys="Http",
    summary="HttpSummariser",
    metrics=(
        *MESSAGES,
        *LATENCIES,
        *BYTES,
        "ttfb_p50_ns",
        "ttfb_p90_ns",
        "ttfb_p99_ns",
        "request_rate",
        "error_responses",
        "failed",
        "statuses",
        "setup_ns",
        "tls_ns",
        "connections",
        "retransmits",
        "congestion",
        "protocol",
        "server",
    ),
    parameters={
        "host": Text(),
        "path": Text(),
        "method": Text(choices=get_args(Method), required=False),
        "body_bytes": Integer(required=False),
        "headers": Texts(required=False),
        "version": Text(choices=("1.1", "2")),
        "tls": Flag(),
        "count": Integer(most=COUNT.most, required=False),
        "duration_ns": Integer(required=False),
        "concurrency": Integer(most=1000),
        "connect": Text(choices=get_args(Connect)),
        "congestion": CONGESTION,
    },
    one_of=frozenset({"count", "duration_ns"}),
    has_server=False,
)
