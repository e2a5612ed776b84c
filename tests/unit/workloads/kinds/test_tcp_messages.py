from __future__ import annotations

import signal
import socket
from typing import Any

import pytest

from testbed.endpoint.columns import decode
from testbed.endpoint.pattern import pattern

RATE = {"rate_bps": 800_000, "size_bytes": 100, "duration_ns": 500_000_000}  # 1000 messages/s


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("size", "address"), [(1, "127.0.0.1"), (100, "::1"), (300_000, "127.0.0.1")])
def test_every_message_is_noted_at_both_ends(start, size, address, tls):
    parameters = {
        "rate_bps": 8000 * size,
        "size_bytes": size,
        "duration_ns": 100_000_000,
        "tls": tls,
        "address": address,
    }
    server = start("tcp-messages", "server", **parameters)
    server.line()
    status, lines = start("tcp-messages", "client", **parameters).end()
    end = lines[-1]
    assert (status, end["event"], end["count"]) == (0, "end", 100)
    made = columns(lines, "sent", "sent_ns")
    assert len(made) == 100
    assert all(at - end["start_ns"] >= number * 1_000_000 for number, at in enumerate(made))  # never early
    (connected,) = columns(lines, "connections", "secured_ns" if tls else "connected_ns")
    assert connected <= end["start_ns"]
    status, lines = server.end()  # by itself: the client closes
    assert status == 0
    assert columns(lines, "received", "seq") == list(range(100))
    received = columns(lines, "received", "received_ns")
    assert all(sent < at for sent, at in zip(made, received, strict=True))
    assert received == sorted(received)
    assert connected < lines[-1]["first_byte_ns"] <= received[0]


def test_messages_are_created_on_time_although_the_server_does_not_read(start, port):
    """What a blocked socket keeps waiting counts from when it was due: there is no coordinated omission."""
    size = 1_000_000
    parameters = {
        "rate_bps": 8 * 100 * size,
        "size_bytes": size,
        "duration_ns": 1_500_000_000,
    }  # 150 MB: no buffer has it
    with socket.create_server(("127.0.0.1", port)) as server:
        client = start("tcp-messages", "client", **parameters)
        connection, _ = server.accept()
        with connection:
            while True:
                line = client.line()
                if line["event"] == "progress" and line["fraction"] > 0.5:
                    break
            expected = pattern(7, 150 * size)
            position = 0
            while data := connection.recv(1 << 20):
                assert expected.startswith(data, position)
                position += len(data)
        assert position == 150 * size
    status, lines = client.end()
    assert (status, lines[-1]["count"]) == (0, 150)


def test_the_connection_is_sampled(start):
    start("tcp-messages", "server", **RATE).line()
    _, lines = start("tcp-messages", "client", **RATE).end()
    at, acked = columns(lines, "tcp-info", "at_ns"), columns(lines, "tcp-info", "bytes_acked")
    assert len(at) >= 5
    assert at == sorted(at)
    assert acked == sorted(acked)
    assert acked[-1] > 100


def test_a_server_killed_in_the_middle_is_an_error(start):
    server = start("tcp-messages", "server", **{**RATE, "duration_ns": 10**12})
    server.line()
    client = start("tcp-messages", "client", **{**RATE, "duration_ns": 10**12})
    client.get_under_way()
    server.process.send_signal(signal.SIGKILL)
    status, lines = client.end()
    assert status == 1
    assert lines[-1]["code"] in ("connection-reset", "connection-closed")


def test_a_server_that_closes_early_is_an_error(start, port):
    with socket.create_server(("127.0.0.1", port)) as server:
        client = start("tcp-messages", "client", **RATE)
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
        status, lines = client.end()
    assert (status, lines[-1]["code"]) == (1, "connection-reset")


def test_a_wrong_byte_is_an_error(start, port):
    server = start("tcp-messages", "server", **RATE)
    server.line()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(pattern(7, 1050) + b"\0" + pattern(7, 1051)[:-1])
        status, lines = server.end()
    assert (status, lines[-1]["code"]) == (1, "corrupt-data")


def test_a_client_stops_at_the_end_of_input(start):
    server = start("tcp-messages", "server", **{**RATE, "duration_ns": 10**12})
    server.line()
    client = start("tcp-messages", "client", **{**RATE, "duration_ns": 10**12})
    client.get_under_way()
    client.stop()
    status, lines = client.end()
    assert (status, lines[-1]["code"]) == (1, "stopped")
