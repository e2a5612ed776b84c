"""HTTP to a web server that runs in a node."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from testbed.topology.base import Fault, key
from testbed.topology.values import Congestion, Count, Flag, HttpVersion, Port, RequestPath, SomeDuration
from testbed.topology.workloads.base import Parameter, Workload

_COUNT = 100


class Http(Workload):
    """Requests for one resource, to a web server that the destination runs."""

    kind: Literal["http"] = key("Requests to a web server that the destination runs")
    port: Port | None = key("TCP port of the server; 443 with TLS, else 80, unless given", default=None)
    path: RequestPath = key("What to request", default="/")
    version: HttpVersion = key("Version of HTTP; 2 without TLS is by prior knowledge (h2c)", default="1.1")
    tls: Flag = key("HTTP over TLS", default=False)
    count: Count | None = key("How many requests; instead of duration", default=None, written="100")
    duration_ns: SomeDuration | None = key(
        "How long to send requests; instead of count", alias="duration", default=None
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=1000)] = key(
        "Requests under way at the same time: on as many connections of HTTP/1.1, on one of HTTP/2", default=1
    )
    connect: Literal["once", "each"] = key("Connections are kept for all requests, or made for each", default="once")
    congestion: Congestion | None = key("TCP congestion control of the client; as of `tcp-rr`", default=None)

    @property
    def over_tcp(self) -> bool:
        """Yes."""
        return True

    @property
    def parameters(self) -> dict[str, Parameter]:
        """As of any workload; the server goes by the name of its node."""
        given = {"host": self.destination, "port": 443 if self.tls else 80, **super().parameters}
        return given if {"count", "duration_ns"} & given.keys() else {"count": _COUNT, **given}

    def contradictions(self) -> Iterator[Fault]:
        """How often and how long are not both said."""
        if self.count is not None and self.duration_ns is not None:
            hint = "duration says how long to send requests, count says how many: leave one out"
            yield Fault(("count",), "conflicting-keys", "is given beside duration", hint)
