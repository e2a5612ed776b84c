"""The keys of tcp-rr."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Congestion, Count, Flag, SomeSize
from testbed.topology.workloads.base import TCP_REACH, TLS_MEANING, Parameter, Reach, WorkloadKeys
from testbed.workloads.kinds.tcp_rr import Connect


class TcpRr(WorkloadKeys):
    """Requests and responses over TCP, one after the other."""

    kind: Literal["tcp-rr"] = key("Requests and responses over TCP, one after the other")
    count: Count = key("How many requests", default=100)
    size_bytes: SomeSize = key("Bytes of a request", alias="size", default=64, written="64B")
    reply_bytes: SomeSize | None = key("Bytes of a response; as the request unless given", alias="reply", default=None)
    connect: Connect = key("One connection for all requests, or one for each", default="once")
    congestion: Congestion | None = key("TCP congestion control; the node's sysctl, else cubic", default=None)
    tls: Flag | None = key(TLS_MEANING, default=None, example=True)

    @property
    def reach(self) -> Reach:
        """The reach of TCP."""
        return TCP_REACH

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters; by default a response is as large as its request."""
        return {"reply_bytes": self.size_bytes, **super().parameters}
