"""The keys of iperf3."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Congestion, Count, SomeDuration, SomeRate, SomeSize
from testbed.topology.workloads.base import SECOND, Reach, WorkloadKeys


class Iperf3(WorkloadKeys):
    """iperf3, with all of its results; both nodes need to have it, as the testbed's image does."""

    kind: Literal["iperf3"] = key("iperf3 from one node to the other; both need to have it")
    protocol: Literal["tcp", "udp"] = key("What to send", default="tcp")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")
    rate_bps: SomeRate | None = key(
        "Rate of each stream, in bits of payload; as fast as TCP can unless given, 1 mbit for UDP",
        alias="rate",
        default=None,
    )
    size_bytes: SomeSize | None = key(
        "Bytes of a write or a datagram; iperf3 chooses unless given", alias="size", default=None
    )
    streams: Count = key("How many at the same time", default=1)
    congestion: Congestion | None = key(
        "TCP congestion control, if the node's kernel allows it; its default unless given", default=None
    )

    @property
    def reach(self) -> Reach:
        """Less far than TCP: iperf3 3.12 takes seven round trips, and works over one of 20 s but not of 40 s."""
        return Reach(20 * SECOND, "iperf3 gives up by itself on longer ones: use tcp-stream or udp-stream")
