"""Programs of the nodes' own."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from testbed.topology.base import key
from testbed.topology.values import Command as CommandWords
from testbed.topology.values import Congestion, Count, SomeDuration, SomeRate, SomeSize
from testbed.topology.workloads.base import SECOND, Reach, Work, Workload


class Iperf3(Workload):
    """iperf3, with all of its results; both nodes need to have it, as the testbed's image does."""

    by_endpoint: ClassVar[bool] = False

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


class Command(Work):
    """Any program of a node's own; what it writes is kept, and a line that is a JSON object is a sample."""

    kind: Literal["command"] = key("A program of a node's own; a line of its output that is JSON is a sample")
    command: Annotated[CommandWords, Field(min_length=1)] = key("The program and its arguments; no shell sees them")
    timeout_ns: SomeDuration = key(
        "How long it may take; after that it is killed and the run has failed",
        alias="timeout",
        default=60 * SECOND,
        written="60s",
    )
