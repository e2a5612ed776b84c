from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest

from testbed.endpoint.pattern import pattern
from tests.unit.workloads.kinds.http.conftest import BODY, PARAMETERS, columns


@pytest.mark.parametrize(
    ("connect", "concurrency", "address"),
    [("once", 1, "127.0.0.1"), ("once", 5, "::1"), ("each", 1, "::1"), ("each", 5, "127.0.0.1")],
)
def test_every_request_is_answered(request_all, server, connect, concurrency, address):
    status, lines = request_all(server.server_port, connect=connect, concurrency=concurrency, address=address)
    assert (status, lines[-1]["event"]) == (0, "end")
    assert server.hosts == {f"web:{server.server_port}"}
    sent, received = columns(lines, "sent", "sent_ns"), columns(lines, "received", "received_ns")
    first = columns(lines, "responses", "first_byte_ns")
    assert columns(lines, "received", "seq") == columns(lines, "responses", "seq") == list(range(20))
    assert all(a < b <= c for a, b, c in zip(sent, first, received, strict=True))
    assert all(before <= after for before, after in pairwise(sent))
    assert columns(lines, "responses", "status") == [200] * 20
    assert sum(columns(lines, "bytes", "bytes")) == sum(columns(lines, "responses", "bytes")) == 20 * len(BODY)
    begun, connected = columns(lines, "connections", "begun_ns"), columns(lines, "connections", "connected_ns")
    assert len(begun) == (20 if connect == "each" else concurrency)
    assert all(before < after for before, after in zip(begun, connected, strict=True))
    if concurrency == 1:
        assert all(answered <= asked for answered, asked in zip(received, sent[1:], strict=False))
        assert (sent[0] < begun[0]) is (connect == "each")  # the connection is then part of the request
    assert lines[-1]["protocol"] == "HTTP/1.1"
    assert lines[-1]["tls"] is lines[-1]["certificate"] is None


def test_requests_for_a_time(request_all, server):
    status, lines = request_all(server.server_port, count=None, duration_ns=1_000_000_000, concurrency=2)
    assert status == 0
    sent = columns(lines, "sent", "sent_ns")
    assert len(sent) > 2
    assert sent[-1] - sent[0] < 1_000_000_000
    assert max(columns(lines, "received", "received_ns")) - sent[0] > 500_000_000
    assert columns(lines, "received", "seq") == list(range(len(sent)))


def test_other_statuses_are_recorded_and_not_delivered(request_all, server):
    status, lines = request_all(server.server_port, path="/none")
    assert status == 0
    assert columns(lines, "responses", "status") == [404] * 20
    assert columns(lines, "received", "seq") == []
    assert len(columns(lines, "connections", "begun_ns")) == 1


def test_a_server_that_closes_after_each_response_is_connected_to_again(request_all, server):
    status, lines = request_all(server.server_port, path="/close", count=5)
    assert status == 0
    assert columns(lines, "received", "seq") == list(range(5))
    assert len(columns(lines, "connections", "begun_ns")) == 5


def test_a_body_is_compared_with_its_digest(request_all, server):
    assert request_all(server.server_port, path="/digest")[0] == 0
    status, lines = request_all(server.server_port, path="/wrong")
    assert (status, lines[-1]["code"]) == (1, "corrupt-data")


@pytest.mark.parametrize("connect", ["once", "each"])
def test_over_tls(request_all, server, contexts, connect):
    server.contexts = contexts[:1]
    status, lines = request_all(server.server_port, tls=True, connect=connect, path="/digest")
    assert status == 0
    assert columns(lines, "responses", "status") == [200] * 20
    connected, secured = columns(lines, "connections", "connected_ns"), columns(lines, "connections", "secured_ns")
    assert all(before < after for before, after in zip(connected, secured, strict=True))
    assert lines[-1]["tls"] == "TLSv1.3"
    assert len(lines[-1]["certificate"]) == 64


def test_another_certificate_is_an_error(request_all, server, contexts):
    server.contexts = contexts
    _, lines = request_all(server.server_port, tls=True, connect="each")
    [failed] = [line for line in lines if line["event"] == "failed"]
    assert failed["code"] == "certificate-changed"
    assert columns(lines, "received", "seq") == [0]
    assert columns(lines, "failed", "seq") == list(range(1, 20))


def test_a_refused_connection_ends_the_workload(request_all, port):
    status, lines = request_all(port)
    assert (status, lines[-1]["code"]) == (1, "connection-refused")
    assert str(port) in lines[-1]["message"]


def test_tls_to_a_server_without_it(request_all, server):
    status, lines = request_all(server.server_port, tls=True)
    assert (status, lines[-1]["code"]) == (1, "tls-failed")
    assert "tls: false" in lines[-1]["hint"]


def _serve(answers):
    """A server of whole answers, one per connection; it closes after each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)
        listener.close()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_request_that_a_kept_connection_did_not_answer_is_sent_again(request_all):
    status, lines = request_all(_serve([WHOLE] * 3), count=3)
    assert status == 0
    assert columns(lines, "received", "seq") == [0, 1, 2]
    assert len(columns(lines, "connections", "begun_ns")) == 3


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"", "connection-closed"), (WHOLE[:-1], "connection-closed"), (b"SSH-2.0\r\n\r\n", "protocol-error")],
)
def test_an_incomplete_response_is_a_failure(request_all, answer, code):
    status, lines = request_all(_serve([answer]))
    assert (status, lines[-1]["code"]) == (1, code)
    status, lines = request_all(_serve([WHOLE, answer, WHOLE]), count=3, connect="each")
    assert status == 0
    assert [(line["code"], line["seq"]) for line in lines if line["event"] == "failed"] == [(code, [1])]
    assert columns(lines, "received", "seq") == [0, 2]


def test_a_client_stops_at_the_end_of_input(start, server):
    client = start("http", "client", to_port=server.server_port, **{**PARAMETERS, "count": 10**9})
    assert client.line()["event"] == "progress"
    client.stop()
    status, lines = client.end()
    assert (status, lines[-1]["code"]) == (1, "stopped")


@pytest.mark.parametrize("size", [None, 1, 300_000])
def test_a_request_has_its_method_its_body_and_its_headers(request_all, server, size):
    headers = ["X-Test: a b", "content-type: text/plain"]
    status, lines = request_all(server.server_port, method="POST", body_bytes=size, headers=headers, count=3)
    assert (status, columns(lines, "received", "seq")) == (0, [0, 1, 2])
    assert lines[-1]["sent_bytes"] == 3 * (size or 0)
    assert len(server.requests) == 3
    for sent, body in server.requests:
        assert body == pattern(7, size or 0)
        assert (sent["X-Test"], sent["Content-Type"], sent["User-Agent"]) == ("a b", "text/plain", "testbed")
