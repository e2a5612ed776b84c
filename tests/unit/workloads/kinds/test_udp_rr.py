from __future__ import annotations

import signal
import socket
import threading
import time
from typing import Any

import pytest

from testbed.endpoint.columns import decode
from testbed.endpoint.udp import HEADER, checksum

REQUESTS = {"count": 40, "size_bytes": 50, "reply_bytes": 700, "timeout_ns": 20 * 10**9}


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_request_is_answered(start, address):
    server = start("udp-rr", "server", **REQUESTS, address=address)
    server.line()
    status, lines = start("udp-rr", "client", **REQUESTS, address=address).end()
    assert (status, lines[-1]) == (0, {"event": "end", "corrupted": 0, "strangers": 0})
    sent, received = columns(lines, "sent", "sent_ns"), columns(lines, "received", "received_ns")
    assert columns(lines, "received", "seq") == list(range(40))
    assert all(before < after for before, after in zip(sent, received, strict=True))
    server.stop()
    status, lines = server.end()
    assert (status, lines[-1]) == (0, {"event": "end", "corrupted": 0, "strangers": 0, "drops": 0})


def test_a_reply_that_came_while_the_client_got_no_processor_is_recorded(start, port):
    """SIGSTOP stands in for a busy machine."""
    timeout_ns = 300_000_000
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        client = start("udp-rr", "client", **{**REQUESTS, "count": 1, "timeout_ns": timeout_ns})
        _, peer = server.recvfrom(1000)
        client.process.send_signal(signal.SIGSTOP)
        server.sendto(HEADER.pack(checksum(7, 0), 0) + bytes(700 - HEADER.size), peer)
        time.sleep(2 * timeout_ns / 1e9)
        client.process.send_signal(signal.SIGCONT)
        status, lines = client.end()
    assert (status, columns(lines, "received", "seq")) == (0, [0])


def test_lost_late_and_double_replies(start, port):
    """A server of the test's own: it answers request 0 twice, 1 never, and 2 once 3 has come, before 3."""
    timeout_ns = 1_500_000_000
    parameters = {**REQUESTS, "count": 4, "timeout_ns": timeout_ns}
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))

        def answer():
            for replies in ([0, 0], [], [], [2, 3]):
                _, peer = server.recvfrom(1000)
                for number in replies:
                    server.sendto(HEADER.pack(checksum(7, number), number) + bytes(700 - HEADER.size), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        status, lines = start("udp-rr", "client", **parameters).end()
        thread.join()
    assert status == 0
    seq, received = columns(lines, "received", "seq"), columns(lines, "received", "received_ns")
    sent = columns(lines, "sent", "sent_ns")
    assert seq == [0, 0, 2, 3]
    assert received[2] - sent[2] > timeout_ns
    assert sent[2] - sent[1] >= timeout_ns
