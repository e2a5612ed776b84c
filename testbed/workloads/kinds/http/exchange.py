"""Requests, responses and sessions, independent of the version of HTTP."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.endpoint.spec import Spec

_SHA_256 = re.compile(rb"(?:^|[ ,])sha-256=:([A-Za-z0-9+/=]+):")
_WITH_BODY = ("POST", "PUT", "PATCH")
_IDEMPOTENT = ("GET", "PUT", "DELETE")
_DEFAULT_PORTS = {True: 443, False: 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, the same for every version.

    Attributes:
        authority: the host, and the port unless it is the scheme's default (RFC 9110, 7.2).
        headers: names in lower case, and values; without headers that each version of HTTP sends in its own way.
        body: the content.
    """

    scheme: str
    authority: str
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def of(cls, spec: Spec) -> Request:
        """Return the request of a spec."""
        tls, host = spec.parameters["tls"], spec.parameters["host"]
        port = "" if spec.port == _DEFAULT_PORTS[tls] else f":{spec.port}"
        body = pattern(spec.seed, spec.parameters.get("body_bytes", 0))
        headers = {"user-agent": "testbed"}
        method = spec.parameters.get("method", "GET")
        if method in _WITH_BODY:
            headers |= {"content-type": "application/octet-stream", "content-length": str(len(body))}
        for header in spec.parameters.get("headers", ()):
            name, _, value = header.partition(": ")
            headers[name.lower()] = value
        return cls(
            scheme="https" if tls else "http",
            authority=host + port,
            path=spec.parameters["path"],
            method=method,
            headers=tuple(headers.items()),
            body=body,
        )

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice has the effect of sending it once (RFC 9110, 9.2.2)."""
        return self.method in _IDEMPOTENT


class Unanswered(Exception):  # noqa: N818 (no error: the request is sent again)
    """The server closed a kept connection before it answered this request.

    The client sends it again on another connection (RFC 9112, 9.3.1; RFC 9113, 8.7), unless the server may have acted
    on it and it is not idempotent.

    Attributes:
        failure: the error if the request is not sent again.
    """

    def __init__(self, failure: EndpointError) -> None:
        super().__init__(failure)
        self.failure = failure


class Session(Protocol):
    """A connection that speaks HTTP."""

    @property
    def usable(self) -> bool:
        """Whether the next request may be sent on it."""

    async def fetch(self) -> Response:
        """Send the request and read all of its response.

        Raises:
            Unanswered: the request has to be sent again.
            EndpointError: there is no complete response.
        """

    def close(self) -> None:
        """Close the connection."""


class BodyCounter:
    """Counts the bytes of bodies over time.

    Attributes:
        start_ns: when the first byte arrived; 0 before.
        buckets: the bytes received in each `BUCKET_NS` from then on.
        sent_bytes: the bytes of requests' bodies that were passed to the socket.
    """

    BUCKET_NS = 100_000_000

    def __init__(self) -> None:
        self.start_ns = 0
        self.sent_bytes = 0
        self.buckets: list[int] = []

    def add(self, size: int) -> None:
        """Count bytes that arrive now."""
        now = monotonic_ns()
        self.start_ns = self.start_ns or now
        bucket = (now - self.start_ns) // self.BUCKET_NS
        self.buckets.extend([0] * (bucket + 1 - len(self.buckets)))
        self.buckets[bucket] += size


@dataclass(slots=True, kw_only=True)
class Response:
    """A response while it is received.

    Attributes:
        flow: also counts the bytes of the body.
        first_byte_ns, received_ns: when the first and the last byte arrived; 0 before.
        status: the status code; 0 before it is known.
        size: the bytes of the body.
        server: the `Server` header.
    """

    flow: BodyCounter
    first_byte_ns: int = 0
    received_ns: int = 0
    status: int = 0
    size: int = 0
    server: str | None = None
    _digest: bytes | None = None
    _sha_256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Process the status and the headers, whose names are in lower case."""
        named = dict(headers)
        self.status = status
        self.server = named[b"server"].decode("latin-1") if b"server" in named else None
        match = _SHA_256.search(named.get(b"repr-digest", b""))
        self._digest = base64.b64decode(match[1]) if match else None

    def add(self, data: bytes) -> None:
        """Process a part of the body."""
        self.size += len(data)
        self.flow.add(len(data))
        if self._digest is not None:
            self._sha_256.update(data)

    def check(self) -> None:
        """Compare the body with the digest that the server sent, if any (`Repr-Digest`, RFC 9530).

        Raises:
            EndpointError: the body differs.
        """
        if self._digest not in (None, self._sha_256.digest()):
            raise EndpointError("corrupt-data", f"a body of {self.size} bytes differs from what Repr-Digest says of it")
