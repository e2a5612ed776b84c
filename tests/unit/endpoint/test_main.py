"""The command line, and the faults that every kind has."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

VALID: dict[str, Any] = {
    "kind": "udp-rr",
    "role": "server",
    "address": "127.0.0.1",
    "port": 1,
    "seed": 7,
    "round_trip_ns": 0,
    "parameters": {"count": 1, "size_bytes": 64, "reply_bytes": 64, "timeout_ns": 1},
}
STREAM = {"duration_ns": 60_000_000_000}
SERVERS: dict[str, dict[str, Any]] = {
    "tcp-stream": STREAM,
    "tcp-rr": {"count": 1, "size_bytes": 1, "reply_bytes": 1, "connect": "once"},
    "udp-stream": {"rate_bps": 10**6, "size_bytes": 64, "duration_ns": 10**9},
    "udp-rr": {"count": 1, "size_bytes": 64, "reply_bytes": 64, "timeout_ns": 10**9},
}


def changed(**fields: object) -> str:
    return json.dumps({**VALID, **fields})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        (json.dumps({**VALID, "colour": 1}), "colour"),
        (changed(port="80"), "'80'"),
        (changed(port=True), "True"),
        (changed(port=1 << 16), "65536"),
        (changed(seed=-1), "-1"),
        (changed(round_trip_ns=-1), "-1"),
        (changed(kind="gopher"), "'gopher'"),
        (changed(kind="ping", role="server", parameters={"count": 1, "interval_ns": 1, "size_bytes": 1}), "ping"),
        (changed(role="peer"), "'peer'"),
        (changed(address="localhost"), "'localhost'"),
        (changed(parameters={}), "needs count"),
        (changed(parameters={**VALID["parameters"], "speed": 3}), "'speed'"),
        (changed(parameters={**VALID["parameters"], "count": 0}), "count is 0"),
        (changed(parameters={**VALID["parameters"], "count": True}), "count is True"),
        (changed(parameters={**VALID["parameters"], "size_bytes": 11}), "from 12 to 65507"),
        (changed(kind="tcp-stream", parameters={}), "one of duration_ns and size_bytes"),
        (changed(kind="tcp-stream", parameters={"size_bytes": 1, "duration_ns": 1}), "one of duration_ns and"),
        (changed(kind="tcp-rr", parameters={**SERVERS["tcp-rr"], "connect": "often"}), "one of once, each"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(start_raw, text, found):
    status, (line,) = start_raw(text).end()
    assert status == 1
    assert (line["event"], line["code"]) == ("error", "invalid-spec")
    assert found in line["message"]


def test_a_missing_spec_is_one_clear_line(start_raw):
    status, (line,) = start_raw().end()
    assert (status, line["code"]) == (1, "invalid-spec")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_port_in_use_is_an_error(start, port, kind):
    with socket.socket(type=socket.SOCK_STREAM if kind.startswith("tcp") else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        if kind.startswith("tcp"):
            taken.listen()
        status, (line,) = start(kind, "server", **SERVERS[kind]).end()
    assert (status, line["event"], line["code"]) == (1, "error", "port-in-use")
    assert str(port) in line["message"]


@pytest.mark.parametrize("kind", SERVERS)
def test_end_of_input_stops_an_idle_server(start, kind):
    server = start(kind, "server", **SERVERS[kind])
    assert server.line()["event"] == "listening"
    server.stop()
    status, lines = server.end()
    assert lines[-1]["event"] == ("error" if kind == "tcp-stream" else "end")
    assert status == (1 if kind == "tcp-stream" else 0)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("tcp-stream", STREAM),
        ("tcp-rr", {"count": 10**9, "size_bytes": 1, "reply_bytes": 1, "connect": "once"}),
        ("tcp-rr", {"count": 10**9, "size_bytes": 1, "reply_bytes": 1, "connect": "each"}),
        ("udp-stream", {"rate_bps": 10**5, "size_bytes": 64, "duration_ns": 60 * 10**9}),
        ("udp-rr", {"count": 10**9, "size_bytes": 64, "reply_bytes": 64, "timeout_ns": 60 * 10**9}),
    ],
)
@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_a_client_stops_at_the_end_of_input(start, kind, parameters, how):
    server = start(kind, "server", **parameters)
    server.line()
    client = start(kind, "client", **parameters)
    client.get_under_way()
    if how == "SIGTERM":
        client.process.send_signal(signal.SIGTERM)
    else:
        client.stop()
    status, lines = client.end()
    assert status == 1
    assert (lines[-1]["event"], lines[-1]["code"]) == ("error", "stopped")


def test_an_endpoint_does_not_outlive_its_owner(port):
    """The owner is killed: it can neither stop its endpoint nor read from it."""
    spec = json.dumps({**VALID, "port": port, "role": "server"})
    owner_program = (
        "import subprocess, sys, time\n"
        "endpoint = subprocess.Popen([sys.executable, '-m', 'testbed.endpoint', sys.argv[1]],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "endpoint.stdout.readline()\n"
        "print(endpoint.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", owner_program, spec], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        endpoint = int(owner.stdout.readline())
        os.kill(endpoint, 0)
        owner.kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not is_gone(endpoint):
        time.sleep(0.05)
    assert is_gone(endpoint)


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 (the kernel's, not a file of ours)
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
