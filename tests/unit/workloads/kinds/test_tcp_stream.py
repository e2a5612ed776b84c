from __future__ import annotations

import signal
import socket
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from testbed.endpoint.columns import decode
from testbed.endpoint.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 3_000_000

Line = dict[str, Any]
Events = dict[str, list[Line]]


def by_event(lines: list[Line]) -> Events:
    events: Events = {}
    for line in lines:
        events.setdefault(line["event"], []).append(line)
    return events


def both(start: Callable[..., Any], **parameters: str | int) -> tuple[Events, Events]:
    server = start("tcp-stream", "server", **parameters)
    assert server.line()["event"] == "listening"
    status, sent = start("tcp-stream", "client", **parameters).end()
    assert (status, sent[-1]["event"]) == (0, "end")
    status, received = server.end()  # by itself: nobody stops it
    assert (status, received[-1]["event"]) == (0, "end")
    return by_event(sent), by_event(received)


@pytest.mark.parametrize(("size", "address"), [(1, "127.0.0.1"), (65521, "::1"), (SIZE, "127.0.0.1")])
def test_every_byte_arrives_and_the_columns_add_up(start, size, address):
    sent, received = both(start, size_bytes=size, address=address)
    assert sent["end"][0]["bytes"] == received["end"][0]["bytes"] == size
    assert sum(sum(decode(line["bytes"])) for line in received["bytes"]) == size
    (connection,) = sent["connections"]
    begun, connected = connection["begun_ns"][0], connection["connected_ns"][0]
    end = received["end"][0]
    assert begun < connected < end["first_byte_ns"] <= end["last_byte_ns"]
    assert received["bytes"][0]["start_ns"] == end["first_byte_ns"]


def test_a_stream_of_a_duration_ends_after_it(start):
    sent, received = both(start, duration_ns=1_300_000_000)
    end = received["end"][0]
    assert end["bytes"] == sent["end"][0]["bytes"] > 0
    assert end["last_byte_ns"] - sent["connections"][0]["connected_ns"][0] >= 1_300_000_000 - 100_000_000
    covered = [(line["start_ns"], len(line["bytes"])) for line in received["bytes"]]
    for (start_ns, buckets), (following_ns, _) in pairwise(covered):
        assert following_ns == start_ns + buckets * 100_000_000
    times = [at for line in sent["tcp-info"] for at in decode(line["at_ns"])]
    assert times == sorted(times)
    assert len(times) > 1  # as often as each 0.1 s where this machine is not busy
    retransmits = [count for line in sent["tcp-info"] for count in decode(line["retransmits"])]
    assert retransmits[-1] <= sent["end"][0]["retransmits"]  # something may be sent again after the last sample


def test_the_requested_congestion_control_is_used(start):
    sent, _ = both(start, size_bytes=1000, congestion="reno")
    assert sent["congestion"] == [{"event": "congestion", "name": "reno"}]


def test_an_unknown_congestion_control_is_refused_with_the_available_ones(start):
    status, (*_, line) = start("tcp-stream", "client", size_bytes=1, congestion="warp").end()
    assert (status, line["code"]) == (1, "congestion-control-unavailable")
    assert "'warp'" in line["message"]
    assert "reno" in line["hint"]


def test_a_refused_connection_is_an_error(start):
    status, (*_, line) = start("tcp-stream", "client", size_bytes=1).end()
    assert (status, line["code"]) == (1, "connection-refused")


def test_a_server_killed_in_the_middle_is_an_error_of_the_sender(start):
    server = start("tcp-stream", "server", duration_ns=60 * 10**9)
    server.line()
    client = start("tcp-stream", "client", duration_ns=60 * 10**9)
    while client.line()["event"] != "tcp-info":
        pass
    server.process.send_signal(signal.SIGKILL)
    status, lines = client.end()
    assert (status, lines[-1]["code"]) == (1, "connection-reset")


def test_a_changed_byte_is_found_where_it_is(start, port):
    server = start("tcp-stream", "server", size_bytes=SIZE)
    server.line()
    data = bytearray(pattern(7, SIZE))
    data[1_234_567] ^= 0x01
    with socket.create_connection(("127.0.0.1", port)) as sender:
        thread = threading.Thread(target=send_quietly, args=(sender, data))
        thread.start()
        status, lines = server.end()
        thread.join()
    assert (status, lines[-1]["code"]) == (1, "corrupt-data")
    assert "byte 1234567 " in lines[-1]["message"]


def send_quietly(sender, data):
    try:
        sender.sendall(data)
    except OSError:
        return  # the server has ended, as it should
