"""The keys of tcp-messages."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Congestion, Flag, SomeDuration, SomeRate, SomeSize
from testbed.topology.workloads.base import SECOND, TCP_REACH, TLS_MEANING, Reach, WorkloadKeys


class TcpMessages(WorkloadKeys):
    """Messages at a steady rate over one TCP connection."""

    kind: Literal["tcp-messages"] = key("Messages at a steady rate over one TCP connection")
    rate_bps: SomeRate = key("Rate, in bits of payload", alias="rate", default=10**6, written="1mbit")
    size_bytes: SomeSize = key("Bytes of a message", alias="size", default=160, written="160B")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")
    congestion: Congestion | None = key("TCP congestion control; the sending node's sysctl, else cubic", default=None)
    tls: Flag | None = key(TLS_MEANING, default=None, example=True)

    @property
    def reach(self) -> Reach:
        """The reach of TCP."""
        return TCP_REACH
