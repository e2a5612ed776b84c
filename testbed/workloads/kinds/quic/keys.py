"""The keys of quic."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import SomeDuration, SomeRate, SomeSize
from testbed.topology.workloads.base import SECOND, WorkloadKeys
from testbed.workloads.kinds.quic import Congestion, Streams


class Quic(WorkloadKeys):
    """Messages at a steady rate over one QUIC connection."""

    kind: Literal["quic"] = key("Messages at a steady rate over one QUIC connection")
    rate_bps: SomeRate = key("Rate, in bits of payload", alias="rate", default=10**6, written="1mbit")
    size_bytes: SomeSize = key("Bytes of a message, at least 4", alias="size", default=160, written="160B")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")
    streams: Streams = key("A stream for each message, or one for all", default="each")
    congestion: Congestion = key("Congestion control of the QUIC implementation", default="cubic")
