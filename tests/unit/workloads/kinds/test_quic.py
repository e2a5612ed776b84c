from __future__ import annotations

import socket
from typing import Any

import pytest

from testbed.endpoint.columns import decode


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


@pytest.mark.parametrize("streams", ["each", "one"])
@pytest.mark.parametrize(("size", "address"), [(4, "127.0.0.1"), (100, "::1"), (50_000, "127.0.0.1")])
def test_every_message_is_noted_at_both_ends(start, size, address, streams):
    parameters = {
        "address": address,
        "rate_bps": 8 * 100 * size,
        "size_bytes": size,
        "duration_ns": 300_000_000,
        "streams": streams,
        "congestion": "cubic",
    }
    server = start("quic", "server", **parameters)
    server.line()
    status, lines = start("quic", "client", **parameters).end()
    end = lines[-1]
    assert (status, end["event"], end["count"]) == (0, "end", 30)
    made = columns(lines, "sent", "sent_ns")
    assert len(made) == 30
    assert all(at - end["start_ns"] >= number * 10_000_000 for number, at in enumerate(made))  # never early
    (connected,) = columns(lines, "connections", "connected_ns")
    assert connected <= end["start_ns"]
    assert min(columns(lines, "quic-info", "min_rtt_ns")) > 0
    status, lines = server.end()  # by itself: the client closes
    assert status == 0
    sequence, received = columns(lines, "received", "seq"), columns(lines, "received", "received_ns")
    assert sorted(sequence) == list(range(30))
    assert streams == "each" or sequence == sorted(sequence)
    assert all(made[number] < at for number, at in zip(sequence, received, strict=True))
    assert connected < lines[-1]["first_byte_ns"] <= received[0]


def test_other_datagrams_begin_no_connection(start, port):
    parameters = {"rate_bps": 80_000, "size_bytes": 100, "duration_ns": 10**8, "streams": "one", "congestion": "reno"}
    server = start("quic", "server", **parameters)
    server.line()
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"\x40garbage", bytes(1200)):
            stranger.sendto(data, ("127.0.0.1", port))
    status, lines = start("quic", "client", **parameters).end()
    assert (status, lines[-1]["event"]) == (0, "end")
    assert server.end()[0] == 0


def test_an_idle_server_stops_at_the_end_of_input(start):
    parameters = {"rate_bps": 80_000, "size_bytes": 100, "duration_ns": 10**8, "streams": "one", "congestion": "reno"}
    server = start("quic", "server", **parameters)
    server.line()
    server.stop()
    status, lines = server.end()
    assert (status, lines[-1]["code"]) == (1, "stopped")


@pytest.mark.parametrize("streams", ["each", "one"])
def test_a_server_that_has_everything_may_be_stopped_while_its_connection_closes(start, streams):
    parameters = {"rate_bps": 80_000, "size_bytes": 100, "duration_ns": 10**8, "streams": streams, "congestion": "reno"}
    server = start("quic", "server", **parameters)
    server.line()
    assert start("quic", "client", **parameters).end()[0] == 0
    server.stop()  # the connection drains for three probe time-outs yet (RFC 9000, 10.2)
    status, lines = server.end()
    assert (status, lines[-1]["event"]) == (0, "end")
    assert len(columns(lines, "received", "seq")) == 10
