"""The keys of udp-rr."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Count, DatagramSize, SomeDuration
from testbed.topology.workloads.base import Parameter, WorkloadKeys, reply_timeout_ns


class UdpRr(WorkloadKeys):
    """Requests and responses over UDP, one after the other; a lost one is not repeated."""

    kind: Literal["udp-rr"] = key("Requests and responses over UDP, one after the other; a lost one is not repeated")
    count: Count = key("How many requests", default=100)
    size_bytes: DatagramSize = key("Bytes of a request", alias="size", default=64, written="64B")
    reply_bytes: DatagramSize | None = key(
        "Bytes of a response; as the request unless given", alias="reply", default=None
    )
    timeout_ns: SomeDuration | None = key(
        "When a response that has not come counts as lost; at least twice the path's longest round trip unless given",
        alias="timeout",
        default=None,
        written="1s",
    )

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters; by default a response is as large as its request."""
        return {"reply_bytes": self.size_bytes, **super().parameters}

    def waits(self, round_trip_ns: int) -> dict[str, int]:
        """See the base class."""
        return {"timeout_ns": reply_timeout_ns(round_trip_ns)}
