"""The keys of http."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from testbed.topology.base import Fault, key
from testbed.topology.values import (
    BodySize,
    Congestion,
    Count,
    Flag,
    HeaderName,
    HeaderValue,
    HttpVersion,
    Port,
    RequestPath,
    SomeDuration,
)
from testbed.topology.workloads.base import TCP_REACH, Parameter, Reach, WorkloadKeys
from testbed.workloads.kinds.http import Connect, Method

_COUNT = 100
_WITH_BODY = ("POST", "PUT", "PATCH")
_OWN_HEADERS = ("connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade")
"""Headers that the client sets itself, or that HTTP/2 does not have (RFC 9113, 8.2.2)."""


class Http(WorkloadKeys):
    """Requests for one resource, to a web server that the destination runs."""

    kind: Literal["http"] = key("Requests to a web server that the destination runs")
    port: Port | None = key("TCP port of the server; 443 with TLS, else 80, unless given", default=None, example=8080)
    path: RequestPath = key("What to request", default="/")
    method: Method | None = key("The request's method", default=None, written="GET")
    body_bytes: BodySize | None = key("Bytes of the request's body; none unless given", alias="body", default=None)
    headers: Mapping[HeaderName, HeaderValue] | None = key(
        "Further headers of the request", default=None, example={"Accept": "text/html"}
    )
    version: HttpVersion = key("Version of HTTP; 2 without TLS is by prior knowledge (h2c)", default="1.1")
    tls: Flag = key("HTTP over TLS", default=False)
    count: Count | None = key("How many requests; instead of duration", default=None, written=100)
    duration_ns: SomeDuration | None = key(
        "How long to send requests; instead of count", alias="duration", default=None
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=1000)] = key(
        "Requests under way at the same time: on as many connections of HTTP/1.1, on one of HTTP/2", default=1
    )
    connect: Connect = key("Connections are kept for all requests, or made for each", default="once")
    congestion: Congestion | None = key("TCP congestion control of the client; as of `tcp-rr`", default=None)

    @property
    def reach(self) -> Reach:
        """The reach of TCP."""
        return TCP_REACH

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters; the host is the name of the server's node."""
        given = {"host": self.destination, "port": 443 if self.tls else 80, **super().parameters}
        if self.headers:
            given["headers"] = tuple(f"{name}: {value}" for name, value in self.headers.items())
        return given if {"count", "duration_ns"} & given.keys() else {"count": _COUNT, **given}

    def contradictions(self) -> Iterator[Fault]:
        """Yield faults: `count` beside `duration`, a body for a method without one, headers that the client sets."""
        if self.count is not None and self.duration_ns is not None:
            hint = "duration says how long to send requests, count says how many: leave one out"
            yield Fault(("count",), "conflicting-keys", "is given beside duration", hint)
        if self.body_bytes is not None and self.method not in _WITH_BODY:
            said = f"is given beside the method {self.method or 'GET'}, whose requests have no body"
            yield Fault(("body",), "conflicting-keys", said, f"methods with a body are {', '.join(_WITH_BODY)}")
        for name in self.headers or ():
            if name.lower() in _OWN_HEADERS:
                yield Fault(("headers", name), "reserved-header", "is set by the client itself", "leave it out")
