"""The keys of udp-stream."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import DatagramSize, SomeDuration, SomeRate
from testbed.topology.workloads.base import SECOND, WorkloadKeys


class UdpStream(WorkloadKeys):
    """Datagrams at a steady rate."""

    kind: Literal["udp-stream"] = key("Datagrams at a steady rate")
    rate_bps: SomeRate = key("Rate, in bits of payload", alias="rate", default=10**6, written="1mbit")
    size_bytes: DatagramSize = key("Bytes of payload per datagram", alias="size", default=160, written="160B")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")
