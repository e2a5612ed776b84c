"""A client gets ready without a packet, and begins when it is told to, never earlier."""

from __future__ import annotations

import json
import select
import socket
from contextlib import ExitStack
from time import monotonic_ns, sleep
from typing import Any

import pytest

from testbed.endpoint.spec import Spec

MS = 1_000_000
RATE = {"rate_bps": 800_000, "size_bytes": 100, "duration_ns": 100 * MS}
CLIENTS: dict[str, dict[str, Any]] = {
    "tcp-stream": {"size_bytes": 1000, "tls": True},
    "tcp-rr": {"count": 1, "size_bytes": 1, "reply_bytes": 1, "connect": "each"},
    "tcp-messages": RATE,
    "udp-stream": RATE,
    "udp-rr": {"count": 1, "size_bytes": 64, "reply_bytes": 64, "timeout_ns": MS},
    "quic": {**RATE, "streams": "each", "congestion": "reno"},
    "dns": {"query": "x.test", "type": "A", "transport": "udp", "count": 1, "timeout_ns": 10 * MS, "tries": 1},
    "http": {
        "host": "localhost",
        "path": "/",
        "version": "1.1",
        "tls": False,
        "count": 1,
        "concurrency": 1,
        "connect": "once",
    },
}
TOO_EARLY_S = 0.2
"""Long enough to see a client that does not wait; one that waits is never seen, however busy the machine."""


def spec(kind: str, port: int, parameters: dict[str, Any]) -> str:
    made = Spec(
        kind=kind, role="client", address="127.0.0.1", port=port, seed=7, round_trip_ns=0, parameters=parameters
    )
    return made.to_json()


@pytest.mark.parametrize("kind", CLIENTS)
def test_no_packet_comes_before_the_start(start_raw, port, kind):
    with ExitStack() as stack:
        streams = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        datagrams = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", port))
        client = start_raw(spec(kind, port, CLIENTS[kind]))
        assert client.line() == {"event": "ready"}
        for listening in (streams, datagrams):
            listening.settimeout(0)
        sleep(TOO_EARLY_S)
        for nothing_yet in (streams.accept, lambda: datagrams.recv(1 << 16)):
            with pytest.raises(BlockingIOError):
                nothing_yet()
        start_ns = monotonic_ns() + 100 * MS
        client.process.stdin.write(json.dumps({"start_ns": start_ns}) + "\n")
        client.process.stdin.flush()
        select.select([streams, datagrams], [], [])
        assert monotonic_ns() >= start_ns
        client.discard()


def test_the_start_is_reported_and_schedules_count_from_it(start_raw, port):
    client = start_raw(spec("udp-stream", port, RATE))
    assert client.line() == {"event": "ready"}
    start_ns = monotonic_ns() + 50 * MS
    client.process.stdin.write(json.dumps({"start_ns": start_ns}) + "\n")
    client.process.stdin.flush()
    lines = [json.loads(line) for line in client.process.stdout]
    [started] = [line for line in lines if line["event"] == "started"]
    assert started["at_ns"] >= start_ns
    assert lines[-1] == {"event": "end", "count": 100, "start_ns": start_ns}


def test_a_client_stopped_before_the_start_never_begins(start_raw, port):
    client = start_raw(spec("udp-stream", port, RATE))
    assert client.line() == {"event": "ready"}
    client.stop()
    status, (line,) = client.end()
    assert (status, line["code"]) == (1, "stopped")
