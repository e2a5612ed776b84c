"""Queries to a real dnsmasq."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import Any

import dns.message
import pytest

from testbed.endpoint.columns import decode

LONG = ",".join(str(number) * 200 for number in range(8))


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


def asked(**others):
    return {
        "query": "www.test",
        "type": "A",
        "transport": "udp",
        "count": 5,
        "timeout_ns": 10**9,
        "tries": 3,
        **others,
    }


@pytest.fixture
def server(port):
    if shutil.which("dnsmasq") is None:
        pytest.skip("there is no dnsmasq here: apt-get install dnsmasq-base")
    options = [
        "--no-resolv",
        "--no-hosts",
        "--local=/test/",
        "--address=/www.test/192.0.2.80",
        f"--txt-record=long.test,{LONG}",
    ]
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", f"--port={port}", *options]
    command += ["--listen-address=127.0.0.1,::1", "--bind-interfaces", "--user="]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield port
        process.terminate()


@pytest.mark.parametrize(
    ("query", "address", "counts"),
    [
        ({"query": "www.test"}, "127.0.0.1", (0, 0, 0)),
        ({"query": "www.test", "transport": "tcp"}, "127.0.0.1", (0, 0, 5)),
        ({"query": "long.test", "type": "TXT"}, "127.0.0.1", (5, 0, 5)),
        ({"query": "long.test", "type": "TXT"}, "::1", (5, 0, 5)),
        ({"query": "nowhere.test"}, "::1", (0, 5, 0)),
    ],
)
def test_every_query_is_answered(start, server, query, address, counts):
    truncated, errors, connections = counts
    parameters = asked(**query)
    status, lines = start("dns", "client", **parameters, address=address).end()
    end = lines[-1]
    assert (status, end["event"]) == (0, "end")
    assert columns(lines, "received", "seq") == [0, 1, 2, 3, 4]
    sent, received = columns(lines, "sent", "sent_ns"), columns(lines, "received", "received_ns")
    assert all(early < late for early, late in zip(sent, received, strict=True))
    assert (end["repeated"], end["truncated"], end["errors"]) == (0, truncated, errors)
    assert len(columns(lines, "connections", "begun_ns")) == connections


def test_a_query_is_sent_again_and_then_given_up(start, port):
    """Somebody is there who answers nothing but noise."""
    heard = []
    with socket.socket(type=socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", port))

        def listen():
            for _ in range(4):
                data, sender = mute.recvfrom(2000)
                heard.append(data)
                mute.sendto(b"noise", sender)

        listener = threading.Thread(target=listen)
        listener.start()
        parameters = asked(count=2, tries=2, timeout_ns=10**8)
        status, lines = start("dns", "client", **parameters).end()
        listener.join()
    assert (status, lines[-1]["repeated"]) == (0, 2)
    assert columns(lines, "received", "seq") == []
    assert heard[0] == heard[1] != heard[2] == heard[3]


def test_an_answer_that_came_while_the_client_got_no_processor_counts(start, port):
    """SIGSTOP stands in for a busy machine."""
    timeout_ns = 300_000_000
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        client = start("dns", "client", **asked(count=1, tries=1, timeout_ns=timeout_ns))
        query, peer = server.recvfrom(2000)
        client.process.send_signal(signal.SIGSTOP)
        server.sendto(dns.message.make_response(dns.message.from_wire(query)).to_wire(), peer)
        time.sleep(2 * timeout_ns / 1e9)
        client.process.send_signal(signal.SIGCONT)
        status, lines = client.end()
    assert (status, columns(lines, "received", "seq")) == (0, [0])


def test_an_invalid_name_is_an_error(start):
    status, lines = start("dns", "client", **asked(query="a..b")).end()
    assert (status, lines[-1]["code"]) == (1, "invalid-spec")
