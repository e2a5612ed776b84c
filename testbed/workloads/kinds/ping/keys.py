"""The keys of ping."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Count, DatagramSize, SomeDuration
from testbed.topology.workloads.base import SECOND, WorkloadKeys


class Ping(WorkloadKeys):
    """ICMP echo requests."""

    kind: Literal["ping"] = key("ICMP echo requests")
    count: Count = key("How many requests", default=20)
    interval_ns: SomeDuration = key(
        "Time from one request to the next", alias="interval", default=SECOND // 10, written="100ms"
    )
    size_bytes: DatagramSize = key("Bytes of payload", alias="size", default=56, written="56B")
