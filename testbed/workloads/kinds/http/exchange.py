"""A request and its response, whatever the version of HTTP."""

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
        authority: whom it is to, without the port where that is the scheme's own (RFC 9110, 7.2).
        headers: names, in lower case, and values, but for those that a version of HTTP says in its own way.
        body: its content.
    """

    scheme: str
    authority: str
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def of(cls, spec: Spec) -> Request:
        """The request that a spec asks for."""
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
        """Whether sending it twice does what sending it once does (RFC 9110, 9.2.2)."""
        return self.method in _IDEMPOTENT


class Unanswered(Exception):  # noqa: N818 (nothing is wrong)
    """The server ended a connection, which it may do after a response, before it answered this request.

    A client sends it again on another connection (RFC 9112, 9.3.1; RFC 9113, 8.7), unless the server may have acted on
    it and doing so twice would make a difference.

    Attributes:
        failure: what it is where that is no use.
    """

    def __init__(self, failure: EndpointError) -> None:
        super().__init__(failure)
        self.failure = failure


class Session(Protocol):
    """A connection that speaks HTTP."""

    @property
    def usable(self) -> bool:
        """The next request may be sent on it."""

    async def fetch(self) -> Response:
        """Send the request and read all of its response.

        Raises:
            Unanswered: send it again.
            EndpointError: there is no whole response.
        """

    def close(self) -> None:
        """End it."""


class Flow:
    """Bytes of bodies as they come.

    Attributes:
        start_ns: when the first came; 0 before that.
        buckets: bytes in each `BUCKET_NS` from then on.
        sent_bytes: bytes of requests' bodies that were handed to the kernel, or wait for that.
    """

    BUCKET_NS = 100_000_000

    def __init__(self) -> None:
        self.start_ns = 0
        self.sent_bytes = 0
        self.buckets: list[int] = []

    def add(self, size: int) -> None:
        """So many have come now."""
        now = monotonic_ns()
        self.start_ns = self.start_ns or now
        bucket = (now - self.start_ns) // self.BUCKET_NS
        self.buckets.extend([0] * (bucket + 1 - len(self.buckets)))
        self.buckets[bucket] += size


@dataclass(slots=True, kw_only=True)
class Response:
    """A response while it comes.

    Attributes:
        flow: where its bytes are counted too.
        first_byte_ns, received_ns: when its first byte and the last byte came; 0 before that.
        status: 0 before it is known.
        size: bytes of the body.
        server: what the server calls itself.
    """

    flow: Flow
    first_byte_ns: int = 0
    received_ns: int = 0
    status: int = 0
    size: int = 0
    server: str | None = None
    _digest: bytes | None = None
    _sha_256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take in the status and the headers, whose names are in lower case."""
        named = dict(headers)
        self.status = status
        self.server = named[b"server"].decode("latin-1") if b"server" in named else None
        found = _SHA_256.search(named.get(b"repr-digest", b""))
        self._digest = base64.b64decode(found[1]) if found else None

    def add(self, data: bytes) -> None:
        """Take in a part of the body."""
        self.size += len(data)
        self.flow.add(len(data))
        if self._digest is not None:
            self._sha_256.update(data)

    def check(self) -> None:
        """Compare the whole body with what the server says of it, if it does (`Repr-Digest`, RFC 9530).

        Raises:
            EndpointError: it is not that.
        """
        if self._digest not in (None, self._sha_256.digest()):
            raise EndpointError("corrupt-data", f"a body of {self.size} bytes differs from what Repr-Digest says of it")
