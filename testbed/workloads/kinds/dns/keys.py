"""The keys of dns."""

from typing import Annotated, Literal

from pydantic import Field

from testbed.topology.base import key
from testbed.topology.values import Count, SomeDuration
from testbed.topology.workloads.base import TCP_REACH, Reach, WorkloadKeys, reply_timeout_ns
from testbed.workloads.kinds.dns import RecordType, Transport


class Dns(WorkloadKeys):
    """DNS queries, one after the other, as a stub resolver asks them."""

    kind: Literal["dns"] = key("DNS queries, one after the other, as a stub resolver asks them")
    port: Annotated[int, Field(ge=1, le=65535)] = key("Port of the server in `to`", default=53)
    query: Annotated[str, Field(min_length=1, max_length=253)] = key("The name to ask for", example="www.example")
    type: RecordType = key("The type of record", default="A")
    transport: Transport = key("UDP, and TCP for what is too long; or TCP at once", default="udp")
    count: Count = key("How many queries", default=100)
    timeout_ns: SomeDuration | None = key(
        "How long to wait for an answer before asking again; at least twice the path's longest round trip unless given",
        alias="timeout",
        default=None,
        written="1s",
    )
    tries: Annotated[int, Field(ge=1, le=100)] = key("How often to ask before giving up", default=3)

    @property
    def reach(self) -> Reach | None:
        """The reach of TCP if TCP is the transport."""
        return TCP_REACH if self.transport == "tcp" else None

    def waits(self, round_trip_ns: int) -> dict[str, int]:
        """See the base class."""
        return {"timeout_ns": reply_timeout_ns(round_trip_ns)}
