"""TCP between endpoints of the testbed's own."""

from collections.abc import Iterator
from typing import Literal

from testbed.topology.base import Fault, key
from testbed.topology.values import Congestion, Count, Flag, SomeDuration, SomeRate, SomeSize
from testbed.topology.workloads.base import SECOND, TCP_REACH, Parameter, Reach, Workload

_TLS = "TLS 1.3 over the connection; not unless given"


class TcpStream(Workload):
    """One TCP connection that carries as much as it can."""

    kind: Literal["tcp-stream"] = key("One TCP connection that carries as much as it can")
    duration_ns: SomeDuration | None = key(
        "How long to send; instead of bytes", alias="duration", default=None, written="10s"
    )
    size_bytes: SomeSize | None = key("How much to send; instead of duration", alias="bytes", default=None)
    congestion: Congestion | None = key("TCP congestion control; the sending node's sysctl, else cubic", default=None)
    tls: Flag | None = key(_TLS, default=None)

    @property
    def reach(self) -> Reach:
        """As far as TCP does."""
        return TCP_REACH

    @property
    def parameters(self) -> dict[str, Parameter]:
        """As of any workload; ten seconds unless something else is said."""
        given = super().parameters
        return given if {"duration_ns", "size_bytes"} & given.keys() else {"duration_ns": 10 * SECOND, **given}

    def contradictions(self) -> Iterator[Fault]:
        """How much and how long are not both said."""
        if self.duration_ns is not None and self.size_bytes is not None:
            hint = "duration says how long to send, bytes says how much: leave one out"
            yield Fault(("bytes",), "conflicting-keys", "is given beside duration", hint)


class TcpRr(Workload):
    """Requests and responses over TCP, one after the other."""

    kind: Literal["tcp-rr"] = key("Requests and responses over TCP, one after the other")
    count: Count = key("How many requests", default=100)
    size_bytes: SomeSize = key("Bytes of a request", alias="size", default=64, written="64B")
    reply_bytes: SomeSize | None = key("Bytes of a response; as the request unless given", alias="reply", default=None)
    connect: Literal["once", "each"] = key("One connection for all requests, or one for each", default="once")
    congestion: Congestion | None = key("TCP congestion control; the node's sysctl, else cubic", default=None)
    tls: Flag | None = key(_TLS, default=None)

    @property
    def reach(self) -> Reach:
        """As far as TCP does."""
        return TCP_REACH

    @property
    def parameters(self) -> dict[str, Parameter]:
        """As of any workload; a response is as large as its request."""
        return {"reply_bytes": self.size_bytes, **super().parameters}


class TcpMessages(Workload):
    """Messages at a steady rate over one TCP connection."""

    kind: Literal["tcp-messages"] = key("Messages at a steady rate over one TCP connection")
    rate_bps: SomeRate = key("Rate, in bits of payload", alias="rate", default=10**6, written="1mbit")
    size_bytes: SomeSize = key("Bytes of a message", alias="size", default=160, written="160B")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")
    congestion: Congestion | None = key("TCP congestion control; the sending node's sysctl, else cubic", default=None)
    tls: Flag | None = key(_TLS, default=None)

    @property
    def reach(self) -> Reach:
        """As far as TCP does."""
        return TCP_REACH
