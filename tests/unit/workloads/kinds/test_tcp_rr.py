from __future__ import annotations

import signal
import socket
from typing import Any

import pytest

from testbed.endpoint.columns import decode
from testbed.endpoint.pattern import pattern


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


@pytest.mark.parametrize("connect", ["once", "each"])
@pytest.mark.parametrize(
    ("size", "reply", "address"), [(1, 1, "127.0.0.1"), (200, 200_000, "::1"), (200_000, 1, "127.0.0.1")]
)
def test_every_request_is_answered(start, connect, size, reply, address):
    parameters = {"count": 30, "size_bytes": size, "reply_bytes": reply, "connect": connect, "address": address}
    server = start("tcp-rr", "server", **parameters)
    server.line()
    status, lines = start("tcp-rr", "client", **parameters).end()
    assert (status, lines[-1]["event"]) == (0, "end")
    sent, received = columns(lines, "sent", "sent_ns"), columns(lines, "received", "received_ns")
    assert columns(lines, "received", "seq") == list(range(30))
    assert all(before < after for before, after in zip(sent, received, strict=True))
    assert all(answered < asked for answered, asked in zip(received, sent[1:], strict=False))
    begun, connected = columns(lines, "connections", "begun_ns"), columns(lines, "connections", "connected_ns")
    assert len(begun) == len(connected) == (30 if connect == "each" else 1)
    assert (begun == sent) is (connect == "each")  # the connection is then part of the request
    status, lines = server.end()  # by itself: it knows how many connections are to come
    assert (status, lines[-1]["event"]) == (0, "end")
    assert isinstance(lines[-1]["retransmits"], int)  # how many there are is up to the machine: 0 if it is calm


def test_a_server_killed_in_the_middle_is_an_error(start):
    parameters = {"count": 10**6, "size_bytes": 1, "reply_bytes": 1, "connect": "once"}
    server = start("tcp-rr", "server", **parameters)
    server.line()
    client = start("tcp-rr", "client", **parameters)
    client.get_under_way()
    server.process.send_signal(signal.SIGKILL)
    status, lines = client.end()
    assert status == 1
    assert lines[-1]["code"] in ("connection-reset", "connection-closed")


def test_a_wrong_request_is_an_error(start, port):
    server = start("tcp-rr", "server", count=1, size_bytes=100, reply_bytes=1, connect="once")
    server.line()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(pattern(8, 100))
        status, lines = server.end()
    assert (status, lines[-1]["code"]) == (1, "corrupt-data")


def test_an_old_connection_that_stays_open_does_not_block_the_next(start, port):
    server = start("tcp-rr", "server", count=2, size_bytes=100, reply_bytes=3, connect="each")
    server.line()
    with (
        socket.create_connection(("127.0.0.1", port)) as lingering,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        for connection in (lingering, client):
            connection.settimeout(60)
            connection.sendall(pattern(7, 100))
            assert connection.recv(3, socket.MSG_WAITALL) == pattern(7, 3)


def test_a_waiting_client_reports_progress(start, port):
    with socket.create_server(("127.0.0.1", port)):  # accepts, and never answers
        client = start("tcp-rr", "client", count=1, size_bytes=1, reply_bytes=1, connect="once")
        for _ in range(3):
            while client.line()["event"] != "progress":
                pass
