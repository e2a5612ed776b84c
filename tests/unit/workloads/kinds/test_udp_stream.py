from __future__ import annotations

import socket
from typing import Any

import pytest

from testbed.endpoint import udp
from testbed.endpoint.columns import decode
from testbed.endpoint.pacing import count
from testbed.endpoint.spec import Spec, family_of
from testbed.endpoint.udp import HEADER, checksum
from tests.unit.workloads.kinds.conftest import may_open_raw_sockets

RATE = {"rate_bps": 800_000, "size_bytes": 100, "duration_ns": 500_000_000}  # 1000 datagrams/s


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


def spec(rate_bps: int, size_bytes: int, duration_ns: int) -> Spec:
    parameters = {"rate_bps": rate_bps, "size_bytes": size_bytes, "duration_ns": duration_ns}
    return Spec(
        kind="udp-stream",
        role="client",
        address="127.0.0.1",
        port=1,
        seed=7,
        round_trip_ns=0,
        parameters=parameters,
    )


def test_a_stream_has_the_datagrams_that_are_due_before_its_end():
    assert count(spec(800_000, 100, 500_000_000)) == 500
    assert count(spec(800_000, 100, 500_000_001)) == 501
    assert count(spec(1, 1000, 1)) == 1


def header(number: int, seed: int = 7) -> bytes:
    return HEADER.pack(checksum(seed, number), number)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_datagrams_are_sent_on_time_and_noted(start, address):
    server = start("udp-stream", "server", **RATE, address=address)
    server.line()
    status, lines = start("udp-stream", "client", **RATE, address=address).end()
    assert (status, lines[-1]["event"], lines[-1]["count"]) == (0, "end", 500)
    sent, start_ns = columns(lines, "sent", "sent_ns"), lines[-1]["start_ns"]
    assert len(sent) == 500
    server.stop()
    status, lines = server.end()
    assert status == 0
    seq, received = columns(lines, "received", "seq"), columns(lines, "received", "received_ns")
    assert seq == list(range(500))  # loopback
    assert all(sent[number] < at for number, at in zip(seq, received, strict=True))
    assert all(at - start_ns >= number * 1_000_000 for number, at in enumerate(sent))  # never early
    assert lines[-1] == {"event": "end", "corrupted": 0, "strangers": 0, "drops": 0}


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW")
@pytest.mark.parametrize(("address", "protocol"), [("127.0.0.1", 1), ("::1", 6), ("::1", 17), ("::1", 47), ("::1", 58)])
def test_packets_of_other_protocols_are_counted_as_datagrams_are(start, address, protocol):
    parameters = {**RATE, "protocol": protocol, "source_port": 4000, "address": address}
    server = start("udp-stream", "server", **parameters)
    server.line()
    assert start("udp-stream", "client", **parameters).end()[0] == 0
    server.stop()
    status, lines = server.end()
    assert (status, columns(lines, "received", "seq")) == (0, list(range(500)))


def test_duplicates_reordering_and_other_datagrams_are_recorded(start, port):
    server = start("udp-stream", "server", **RATE)
    server.line()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for number in (0, 2, 1, 1):
            sender.send(header(number) + bytes(88))
        sender.send(header(3, seed=8) + bytes(88))  # another workload's
        sender.send(header(3) + bytes(87))  # another size
        sender.send(b"")
    server.stop()
    _, lines = server.end()
    assert columns(lines, "received", "seq") == [0, 2, 1, 1]
    assert lines[-1] == {"event": "end", "corrupted": 0, "strangers": 3, "drops": 0}


def test_any_inverted_bit_of_a_header_counts_as_corrupted(start, port):
    server = start("udp-stream", "server", **RATE)
    server.line()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for bit in range(8 * HEADER.size):
            damaged = int.from_bytes(header(400)) ^ 1 << bit
            sender.send(damaged.to_bytes(HEADER.size) + bytes(88))
    server.stop()
    _, lines = server.end()
    assert columns(lines, "received", "seq") == []
    assert lines[-1] == {"event": "end", "corrupted": 8 * HEADER.size, "strangers": 0, "drops": 0}


def test_more_datagrams_than_can_be_are_an_error(start, port):
    server = start("udp-stream", "server", rate_bps=1, size_bytes=100, duration_ns=1)
    server.line()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for _ in range(3000):
            sender.sendto(header(0) + bytes(88), ("127.0.0.1", port))
    status, lines = server.end()
    assert (status, lines[-1]["code"]) == (1, "too-many-datagrams")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_only_what_finds_the_receive_buffer_full_is_a_drop(address):
    before = udp.overflows(family_of(address))
    with udp.bound(address, 0) as server, socket.socket(server.family, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", server.getsockname())
        assert udp.drops(server, before) == 0
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel's least
        for _ in range(100):
            sender.sendto(bytes(1000), server.getsockname())
        assert 0 < udp.drops(server, before) <= 100
