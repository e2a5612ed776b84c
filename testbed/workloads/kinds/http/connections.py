"""Set up, secure, count and close the connections of an HTTP client."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
from array import array
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, TypeVar

from testbed.endpoint import tcp, tcp_info
from testbed.endpoint.errors import EndpointError, from_os_error
from testbed.endpoint.patience import SECOND, stall_ns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from testbed.endpoint.spec import Spec

Moved = TypeVar("Moved")

_READ_BYTES = 1 << 18
_LOOK = "does the server listen at this port, and still run? its node's ready: {tcp: PORT} waits for it"
_ALPN = {"1.1": "http/1.1", "2": "h2"}  # RFC 7301, the IANA registry


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConnection:
    """A connection to the server, with or without TLS.

    Attributes:
        stall_ns: how long the server may be silent.
    """

    stall_ns: int
    socket: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        """Wait for data and return it; it is empty if the server has closed.

        Raises:
            EndpointError: the server is silent for too long, or the connection broke.
        """
        return await self._while_moving(lambda: self.reader.read(_READ_BYTES), "a response")

    async def write(self, data: bytes) -> None:
        """Send data, waiting for room in the socket.

        Raises:
            EndpointError: the connection has stalled, or broke.
        """
        self.writer.write(data)
        await self._while_moving(self.writer.drain, "a request")

    async def _while_moving(self, begin: Callable[[], Awaitable[Moved]], doing: str) -> Moved:
        """Return the result of reading or writing; allow more time as long as the server acknowledges data."""
        acked = -1
        while True:
            try:
                async with asyncio.timeout(self.stall_ns / SECOND):
                    return await begin()
            except TimeoutError as error:
                before, acked = acked, tcp_info.read(self.socket)["bytes_acked"]
                if acked == before:
                    raise failure(error, doing) from error
            except OSError as error:
                raise failure(error, doing) from error


class HttpConnections:
    """All connections of a workload. Each does a full TLS handshake: sessions are not resumed.

    The first certificate of the server is trusted, and a different one later is an error: certificates in a lab are not
    signed by an authority, and only the lab's own nodes can answer.

    Attributes:
        begun_ns, connected_ns, secured_ns: the times of each set-up; the last is empty without TLS.
        retransmits: the number of segments that the client retransmitted on closed connections.
        congestion, tls: the names of the congestion control and of the TLS version; None before the first connection.
        certificate: the SHA-256 digest of the server's certificate, in hex.
    """

    def __init__(self, spec: Spec) -> None:
        self.begun_ns, self.connected_ns, self.secured_ns = array("q"), array("q"), array("q")
        self.retransmits = 0
        self.congestion: str | None = None
        self.tls: str | None = None
        self.certificate: str | None = None
        self._spec = spec
        self._stall_ns = stall_ns(spec.round_trip_ns)
        self._protocol = _ALPN[spec.parameters["version"]]
        self._context = _context(self._protocol) if spec.parameters["tls"] else None

    async def open(self) -> HttpConnection:
        """Set up a connection, with TLS if requested.

        Raises:
            EndpointError: the set-up failed, or the server has another certificate or HTTP version.
        """
        host = self._spec.parameters["host"] if self._context else None
        plain = socket.socket(self._spec.family, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)  # noqa: FBT003 (the standard library's signature)
            plain.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # otherwise a request waits for the ACK of TLS's last message
            tcp.choose_congestion(plain, self._spec)
            begun_ns = monotonic_ns()
            await asyncio.get_running_loop().sock_connect(plain, self._spec.destination)
            connected_ns = monotonic_ns()
            reader, writer = await asyncio.open_connection(
                sock=plain,
                ssl=self._context,
                server_hostname=host,
                ssl_handshake_timeout=self._stall_ns / SECOND if self._context else None,
                limit=_READ_BYTES,
            )
            secured_ns = monotonic_ns()
        except OSError as error:
            plain.close()
            raise failure(error, f"a connection to {self._spec.authority}") from error
        except BaseException:
            plain.close()
            raise
        connection = HttpConnection(stall_ns=self._stall_ns, socket=plain, reader=reader, writer=writer)
        if secure := writer.get_extra_info("ssl_object"):
            try:
                self._check(secure)
            except EndpointError:
                writer.close()
                raise
            self.secured_ns.append(secured_ns)
        self.begun_ns.append(begun_ns)
        self.connected_ns.append(connected_ns)
        self.congestion = tcp.congestion(plain)
        return connection

    def _check(self, secure: ssl.SSLObject) -> None:
        chosen = secure.selected_alpn_protocol() or _ALPN["1.1"]  # a server without ALPN speaks HTTP/1.1
        if chosen != self._protocol:
            raise other_version(f"the server chose {chosen} by ALPN; {self._protocol} was offered")
        self.tls = secure.version()
        digest = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if self.certificate not in (None, digest):
            raise EndpointError(
                "certificate-changed",
                f"the server showed the certificate {self.certificate}, and now {digest} (SHA-256)",
                "does more than one server answer at this address?",
            )
        self.certificate = digest

    def close(self, connection: HttpConnection) -> None:
        """Close a connection and count its retransmits."""
        self.retransmits += tcp_info.read(connection.socket)["retransmits"]
        connection.writer.close()


def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `HttpConnections` decides whom it trusts
    context.set_alpn_protocols([protocol])
    return context


def other_version(message: str) -> EndpointError:
    """Return the error of a server that does not speak the requested version of HTTP."""
    return EndpointError(
        "http-version-refused", message, "give the workload a version and a port that the server speaks together"
    )


def failure(error: OSError, doing: str) -> EndpointError:
    """Return the endpoint error for an error of the kernel, of TLS or of time; `doing` names what failed."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
            return other_version("the server speaks TLS there, but by ALPN not this version of HTTP")
        hint = "does the server speak TLS at this port? give the workload tls: false where it does not"
        return EndpointError("tls-failed", f"{doing}: TLS: {error.reason or error}", hint)
    if error.errno is None:  # asyncio's own
        if isinstance(error, TimeoutError):
            return EndpointError("timeout", f"{doing}: nothing has come for too long", "is the path partitioned?")
        return EndpointError("connection-reset", f"{doing}: {error}", _LOOK)
    translated = from_os_error(OSError(error.errno, os.strerror(error.errno)), doing)
    return EndpointError(
        translated.code, translated.message, _LOOK if isinstance(error, ConnectionError) else translated.hint
    )
