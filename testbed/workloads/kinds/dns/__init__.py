"""dns: DNS queries, one after the other, as a stub resolver asks them."""

from typing import Literal, get_args

from testbed.kinds import Kind
from testbed.parameters import COUNT, Integer, Text
from testbed.workloads.kinds import LATENCIES, MESSAGES

RecordType = Literal["A", "AAAA", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]
Transport = Literal["udp", "tcp"]

KIND = Kind(
    name="dns",
    package=__name__,
    protocols=("tcp", "udp"),
    keys="Dns",
    summary="DnsSummariser",
    metrics=(*MESSAGES, *LATENCIES, "repeated", "truncated", "error_answers", "setup_ns", "connections"),
    parameters={
        "query": Text(),
        "type": Text(choices=get_args(RecordType)),
        "transport": Text(choices=get_args(Transport)),
        "count": COUNT,
        "timeout_ns": Integer(),
        "tries": Integer(),
    },
    has_server=False,
)
