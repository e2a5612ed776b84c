"""The connections of an HTTP client: set up, secured, counted and ended."""

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
class Connection:
    """A connection to the server, secured where that is asked for.

    Attributes:
        stall_ns: how long the server may send nothing.
    """

    stall_ns: int
    socket: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        """What has come; nothing where the server has closed.

        Raises:
            EndpointError: nothing comes, or the connection broke.
        """
        return await self._while_moving(lambda: self.reader.read(_READ_BYTES), "a response")

    async def write(self, data: bytes) -> None:
        """Send, as fast as the connection takes it.

        Raises:
            EndpointError: it takes no more, or broke.
        """
        self.writer.write(data)
        await self._while_moving(self.writer.drain, "a request")

    async def _while_moving(self, begin: Callable[[], Awaitable[Moved]], doing: str) -> Moved:
        """The result of reading or writing, which may take long as long as the other end takes what was sent to it."""
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


class Connections:
    """All connections of a workload. Each does a whole handshake: nothing is resumed.

    The first certificate that the server shows is trusted, and any other later is an error: in a lab nobody has signed
    it, and nobody but the lab's own nodes can answer.

    Attributes:
        begun_ns, connected_ns, secured_ns: times of each that was set up; the last without TLS stays empty.
        retransmits: segments that this end sent again, on those that have ended.
        congestion, tls: the names of the congestion control and of the version of TLS; None before there are any.
        certificate: the SHA-256 of the server's, in hex.
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

    async def open(self) -> Connection:
        """Set up a connection, with TLS where that is asked for.

        Raises:
            EndpointError: it can't be had, or is not with whom or as it should be.
        """
        host = self._spec.parameters["host"] if self._context else None
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)  # noqa: FBT003 (the standard library's signature)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a request waits for TLS's last ACK
            tcp.choose_congestion(plain, self._spec)
            begun_ns = monotonic_ns()
            where = (self._spec.address, self._spec.port)
            await asyncio.get_running_loop().sock_connect(plain, where)
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
            raise failure(error, f"a connection to {self._spec.address}:{self._spec.port}") from error
        except BaseException:
            plain.close()
            raise
        connection = Connection(stall_ns=self._stall_ns, socket=plain, reader=reader, writer=writer)
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
        chosen = secure.selected_alpn_protocol() or _ALPN["1.1"]  # what speaks no ALPN speaks that
        if chosen != self._protocol:
            raise other_version(f"the server chose {chosen} by ALPN; {self._protocol} was offered")
        self.tls = secure.version()
        found = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if self.certificate not in (None, found):
            raise EndpointError(
                "certificate-changed",
                f"the server showed the certificate {self.certificate}, and now {found} (SHA-256)",
                "does more than one server answer at this address?",
            )
        self.certificate = found

    def close(self, connection: Connection) -> None:
        """End a connection."""
        self.retransmits += tcp_info.read(connection.socket)["retransmits"]
        connection.writer.close()


def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `Connections` says whom it trusts instead
    context.set_alpn_protocols([protocol])
    return context


def other_version(message: str) -> EndpointError:
    """The error of a server that speaks HTTP, but not the version that it is asked for."""
    return EndpointError(
        "http-version-refused", message, "give the workload a version and a port that the server speaks together"
    )


def failure(error: OSError, doing: str) -> EndpointError:
    """The endpoint's error for one of the kernel's, of TLS or of time; `doing` says what was being done."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
            return other_version("the server speaks TLS there, but by ALPN not this version of HTTP")
        hint = "does the server speak TLS at this port? give the workload tls: false where it does not"
        return EndpointError("tls-failed", f"{doing}: TLS: {error.reason or error}", hint)
    if error.errno is None:  # asyncio's own
        if isinstance(error, TimeoutError):
            return EndpointError("timeout", f"{doing}: nothing has come for too long", "is the path partitioned?")
        return EndpointError("connection-reset", f"{doing}: {error}", _LOOK)
    found = from_os_error(OSError(error.errno, os.strerror(error.errno)), doing)
    return EndpointError(found.code, found.message, _LOOK if isinstance(error, ConnectionError) else found.hint)
