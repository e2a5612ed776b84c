"""TLS 1.3 over the TCP connections of endpoints, with a key that both ends derive from the workload's seed.

So the nodes need not exchange keys: the server makes the key and a self-signed certificate, the client makes the same
and trusts only that certificate. Any 32 bytes are an Ed25519 key (RFC 8032), and its signatures are deterministic, so
both ends get the same certificate, byte for byte. Anyone who knows the seed knows the key: this measures the cost of
TLS, it does not protect the data.

There are no session tickets, thus no resumption and no 0-RTT: each handshake takes its one round trip (RFC 8446, 2).
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from testbed.endpoint.errors import EndpointError
from testbed.endpoint.patience import SECOND, stall_ns

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509 import Certificate

    from testbed.endpoint.owner import Owner

NAME = "testbed"
"""The host name in the certificate."""

_WAKE_S = 0.1
_RECORD_BYTES = 1 << 14
_BEGINNING, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def key_of(seed: int) -> Ed25519PrivateKey:
    """Return the private key of a workload."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 (takes its time)

    return Ed25519PrivateKey.from_private_bytes(sha256(b"testbed key %d" % seed).digest())


def certificate_of(seed: int) -> Certificate:
    """Return the self-signed certificate of a workload's key for `NAME`; it depends only on the seed."""
    from cryptography import x509  # noqa: PLC0415

    key = key_of(seed)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=_BEGINNING,
        not_valid_after=_END,
    )
    return builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False).sign(key, None)


def identity_of(seed: int) -> bytes:
    """Return the certificate of a workload and its private key, in PEM."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = key_of(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate_of(seed).public_bytes(Encoding.PEM) + key


@contextmanager
def identity_file(seed: int) -> Iterator[str]:
    """Yield the path of an in-memory file with `identity_of` a workload, for libraries that only read files."""
    with open(os.memfd_create("testbed-key"), "w+b", buffering=0) as file:  # noqa: PTH123 (it is a descriptor)
        file.write(identity_of(seed))
        yield f"/proc/self/fd/{file.fileno()}"


class Contexts(NamedTuple):
    """The TLS contexts of the two ends of a workload's connections."""

    client: ssl.SSLContext
    server: ssl.SSLContext


@cache
def contexts_of(seed: int) -> Contexts:
    """Return the contexts of a workload; the first call takes some 100 ms.

    It includes a handshake in memory, because the first one of a process takes OpenSSL some ms more than all others.
    """
    contexts = Contexts(client=_client_context(seed), server=_server_context(seed))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts.client.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = contexts.server.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return contexts


def _server_context(seed: int) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    with identity_file(seed) as path:
        context.load_cert_chain(path)
    return context


def _client_context(seed: int) -> ssl.SSLContext:
    """Return a context that trusts only the workload's certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificate_of(seed).public_bytes(Encoding.DER))
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.sslsocket_class = TlsSocket
    return context


class TlsSocket(ssl.SSLSocket):
    """A TLS connection whose calls raise BlockingIOError after a time, as those of a socket after `tcp.wake`.

    Raises on reading, sending and the handshake:
        EndpointError: `tls-failed`, with OpenSSL's reason.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return up to `buflen` bytes; none at the end of the stream."""
        with _errors_as_of_sockets():
            return super().recv(buflen, flags)

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override]
        """Read up to one record into `buffer` and return the number of bytes."""
        with _errors_as_of_sockets():
            return super().recv_into(buffer, nbytes, flags)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Send up to one record and return the number of bytes; after BlockingIOError, send the same data again."""
        with _errors_as_of_sockets():
            return super().send(memoryview(data)[:_RECORD_BYTES], flags)

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 (the standard library's signature)
        """Continue the handshake."""
        with _errors_as_of_sockets():
            super().do_handshake(block)


@contextmanager
def _errors_as_of_sockets() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None
    except ssl.SSLError as error:  # its errno is OpenSSL's kind of error, not the kernel's
        raise EndpointError("tls-failed", f"TLS: {error.reason or error}") from error


def secure(connection: socket.socket, context: ssl.SSLContext, owner: Owner, round_trip_ns: int = 0) -> TlsSocket:
    """Set up TLS over a connection and return it; close the connection if that fails.

    Raises:
        EndpointError: `tls-failed`; `tls-timeout`, after the time of `stall_ns`.
        Stopped: the owner wants the endpoint to stop.
    """
    server_side = context.protocol == ssl.PROTOCOL_TLS_SERVER
    name = None if server_side else NAME
    connection.settimeout(_WAKE_S)
    secured = context.wrap_socket(
        connection, server_side=server_side, server_hostname=name, do_handshake_on_connect=False
    )
    assert isinstance(secured, TlsSocket)  # noqa: S101 (the context makes no others)
    limit_ns = stall_ns(round_trip_ns)
    deadline_ns = monotonic_ns() + limit_ns
    try:
        while True:
            try:
                secured.do_handshake()
            except BlockingIOError:
                owner.check()
                if monotonic_ns() > deadline_ns:
                    raise EndpointError(
                        "tls-timeout", f"no TLS handshake within {limit_ns // SECOND} s", "is the path partitioned?"
                    ) from None
            else:
                return secured
    except BaseException:
        secured.close()
        raise
