from __future__ import annotations

import json
import socket
import ssl
import threading

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from testbed.endpoint import tls
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.owner import Owner


def test_both_ends_derive_the_same_certificate():
    one, same, other = (tls.certificate_of(seed).public_bytes(Encoding.DER) for seed in (7, 7, 8))
    assert one == same
    assert one != other


def handshake(client_seed: int, server_seed: int) -> tuple[tls.TlsSocket, tls.TlsSocket]:
    ends = socket.socketpair()
    served: list[tls.TlsSocket] = []

    def serve():
        try:
            served.append(tls.secure(ends[1], tls.contexts_of(server_seed).server, Owner()))
        except EndpointError:
            ends[1].close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client = tls.secure(ends[0], tls.contexts_of(client_seed).client, Owner())
    finally:
        thread.join()
    return client, served[0]


def test_tls_1_3_without_tickets_carries_data():
    client, server = handshake(7, 7)
    with client, server:
        assert client.version() == "TLSv1.3"
        assert client.send(b"x" * 100_000) == 1 << 14  # a record
        got = b""
        while len(got) < 1 << 14:
            got += server.recv(1 << 16)
        assert got == b"x" * (1 << 14)
        assert server.send(b"y") == 1
        assert client.recv(10) == b"y"
        assert client.session is not None
        assert not client.session.has_ticket


def test_a_long_wait_raises_as_that_of_a_socket():
    client, server = handshake(7, 7)
    with client, server, pytest.raises(BlockingIOError):
        client.recv(1)


def test_a_certificate_of_another_seed_is_not_trusted():
    with pytest.raises(EndpointError) as raised:
        handshake(7, 8)
    assert raised.value.code == "tls-failed"
    assert "CERTIFICATE_VERIFY_FAILED" in raised.value.message


@pytest.mark.parametrize("connect", ["once", "each"])
def test_requests_over_tls(start, connect):
    parameters = {"count": 5, "size_bytes": 50_000, "reply_bytes": 70_000, "connect": connect, "tls": True}
    server = start("tcp-rr", "server", **parameters)
    server.line()
    status, lines = start("tcp-rr", "client", **parameters).end()
    assert (status, lines[-1]["event"]) == (0, "end")
    (connections,) = (line for line in lines if line["event"] == "connections")
    assert len(connections["secured_ns"]) == len(connections["connected_ns"]) == (5 if connect == "each" else 1)
    assert connections["begun_ns"][0] < connections["connected_ns"][0] < connections["secured_ns"][0]
    assert server.end()[0] == 0


def test_a_stream_over_tls(start):
    parameters = {"size_bytes": 3_000_000, "tls": True}
    server = start("tcp-stream", "server", **parameters)
    server.line()
    status, lines = start("tcp-stream", "client", **parameters).end()
    assert (status, lines[-1]["bytes"]) == (0, 3_000_000)
    status, lines = server.end()
    assert (status, lines[-1]["bytes"]) == (0, 3_000_000)


def test_a_server_that_speaks_no_tls_is_an_error(start_raw, port):
    spec = {"kind": "tcp-rr", "role": "client", "address": "127.0.0.1", "port": port, "seed": 7, "round_trip_ns": 0}
    parameters = {"count": 1, "size_bytes": 1, "reply_bytes": 1, "connect": "once", "tls": True}
    with socket.create_server(("127.0.0.1", port)) as server:
        client = start_raw(json.dumps({**spec, "parameters": parameters}))
        client.begin()
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            status, lines = client.end()
    assert (status, lines[-1]["code"]) == (1, "tls-failed")


def test_tls_1_2_is_refused():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = socket.socketpair()
    client = threading.Thread(target=lambda: _connect(context, ends[0]))
    client.start()
    with pytest.raises(EndpointError) as raised:
        tls.secure(ends[1], tls.contexts_of(7).server, Owner())
    client.join()
    assert raised.value.code == "tls-failed"


def _connect(context: ssl.SSLContext, end: socket.socket) -> None:
    try:
        context.wrap_socket(end).close()
    except OSError:
        end.close()
