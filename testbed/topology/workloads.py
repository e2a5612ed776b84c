"""Traffic of the topology file: one model per kind.

Beyond the keys that all kinds share, a field is a parameter of the kind, under the name that the plan has for it.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from testbed import units
from testbed.topology.base import Model, key
from testbed.topology.values import Congestion, Count, DatagramSize, Name, SomeDuration, SomeRate, SomeSize

SECOND = units.DURATION.parse("1s")


class Ends(Model):
    """What a workload is called and where it goes."""

    name: Name = key("The workload's name, in results and in `expect`")
    source: Name = key("The node that starts; of a stream, the one that sends", alias="from")
    destination: Name = key("The node that listens", alias="to")
    network: Name | None = key("Which network to cross; needed only where the two nodes share several", default=None)


class Workload(Ends):
    """What all kinds share."""

    kind: str = key("What traffic it is")

    @property
    def parameters(self) -> dict[str, int | str | bool]:
        """The kind's own, by the plan's names; what is left to the plan is not there."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in Workload.model_fields}
        return {name: value for name, value in own.items() if value is not None}


class TcpStream(Workload):
    """One TCP connection that carries as much as it can."""

    kind: Literal["tcp-stream"] = key("One TCP connection that carries as much as it can")
    duration_ns: SomeDuration | None = key(
        "How long to send; instead of bytes", alias="duration", default=None, written="10s"
    )
    size_bytes: SomeSize | None = key("How much to send; instead of duration", alias="bytes", default=None)
    congestion: Congestion | None = key("TCP congestion control; the sending node's sysctl, else cubic", default=None)

    @property
    def parameters(self) -> dict[str, int | str | bool]:
        """As of any workload; ten seconds unless something else is said."""
        given = super().parameters
        return given if {"duration_ns", "size_bytes"} & given.keys() else {"duration_ns": 10 * SECOND, **given}


class TcpRr(Workload):
    """Requests and responses over TCP, one after the other."""

    kind: Literal["tcp-rr"] = key("Requests and responses over TCP, one after the other")
    count: Count = key("How many requests", default=100)
    size_bytes: SomeSize = key("Bytes of a request", alias="size", default=64, written="64B")
    reply_bytes: SomeSize | None = key("Bytes of a response; as the request unless given", alias="reply", default=None)
    connect: Literal["once", "each"] = key("One connection for all requests, or one for each", default="once")
    congestion: Congestion | None = key("TCP congestion control; the node's sysctl, else cubic", default=None)

    @property
    def parameters(self) -> dict[str, int | str | bool]:
        """As of any workload; a response is as large as its request."""
        return {"reply_bytes": self.size_bytes, **super().parameters}


class UdpStream(Workload):
    """Datagrams at a steady rate."""

    kind: Literal["udp-stream"] = key("Datagrams at a steady rate")
    rate_bps: SomeRate = key("Rate, in bits of payload", alias="rate", default=10**6, written="1mbit")
    size_bytes: DatagramSize = key("Bytes of payload per datagram", alias="size", default=160, written="160B")
    duration_ns: SomeDuration = key("How long to send", alias="duration", default=10 * SECOND, written="10s")


class UdpRr(Workload):
    """Requests and responses over UDP, one after the other; a lost one is not repeated."""

    kind: Literal["udp-rr"] = key("Requests and responses over UDP, one after the other; a lost one is not repeated")
    count: Count = key("How many requests", default=100)
    size_bytes: DatagramSize = key("Bytes of a request", alias="size", default=64, written="64B")
    reply_bytes: DatagramSize | None = key(
        "Bytes of a response; as the request unless given", alias="reply", default=None
    )
    timeout_ns: SomeDuration = key(
        "How long to wait for a response before it counts as lost", alias="timeout", default=SECOND, written="1s"
    )

    @property
    def parameters(self) -> dict[str, int | str | bool]:
        """As of any workload; a response is as large as its request."""
        return {"reply_bytes": self.size_bytes, **super().parameters}


class Ping(Workload):
    """ICMP echo requests."""

    kind: Literal["ping"] = key("ICMP echo requests")
    count: Count = key("How many requests", default=20)
    interval_ns: SomeDuration = key(
        "Time from one request to the next", alias="interval", default=SECOND // 10, written="100ms"
    )
    size_bytes: DatagramSize = key("Bytes of payload", alias="size", default=56, written="56B")


KINDS = ("tcp-stream", "tcp-rr", "udp-stream", "udp-rr", "ping")


def _kind_tag(value: object) -> str | None:
    """Which model a workload is for; in brackets, so that no key of a file looks like it."""
    kind = value.get("kind") if isinstance(value, dict) else None
    return f"<{kind}>" if isinstance(kind, str) else None


AnyWorkload = Annotated[
    Annotated[TcpStream, Tag("<tcp-stream>")]
    | Annotated[TcpRr, Tag("<tcp-rr>")]
    | Annotated[UdpStream, Tag("<udp-stream>")]
    | Annotated[UdpRr, Tag("<udp-rr>")]
    | Annotated[Ping, Tag("<ping>")],
    Discriminator(_kind_tag),
]


class Together(Model):
    """Workloads that run at the same time."""

    together: Annotated[tuple[AnyWorkload, ...], Field(min_length=1)] = key("Workloads that run at the same time")


def _entry_tag(value: object) -> str:
    return "<together>" if isinstance(value, dict) and "together" in value else "<one>"


Entry = Annotated[
    Annotated[AnyWorkload, Tag("<one>")] | Annotated[Together, Tag("<together>")], Discriminator(_entry_tag)
]
"""An entry of `workloads`."""
