from __future__ import annotations

import socket
import struct

import pytest

from testbed.endpoint import tcp_info

ESTABLISHED = 1


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def test_the_state_of_a_live_connection(connection):
    client, peer = connection
    client.sendall(b"x" * 5000)
    received = 0
    while received < 5000:
        received += len(peer.recv(5000))
    info = tcp_info.read(client)
    assert info["state"] == ESTABLISHED
    assert info["bytes_acked"] <= 5001  # the SYN counts as one
    assert info["cwnd"] >= 1
    assert info["rtt_ns"] > 0
    assert info["rtt_ns"] % 1000 == 0
    assert info["retransmits"] == 0
    assert all(0 <= value < 1 << 63 for value in info.values())


def test_each_field_is_read_from_its_own_place():
    raw = bytearray(232)
    struct.pack_into("=I", raw, 68, 40_000)  # tcpi_rtt, us
    struct.pack_into("=I", raw, 80, 12)  # tcpi_snd_cwnd
    struct.pack_into("=I", raw, 100, 3)  # tcpi_total_retrans
    struct.pack_into("=Q", raw, 104, (1 << 64) - 1)  # tcpi_pacing_rate: unlimited
    struct.pack_into("=Q", raw, 160, 125_000)  # tcpi_delivery_rate
    found = {name: value for name, value in tcp_info.parse(bytes(raw)).items() if value}
    assert found == {
        "rtt_ns": 40_000_000,
        "cwnd": 12,
        "retransmits": 3,
        "pacing_rate": (1 << 63) - 1,
        "delivery_rate": 125_000,
    }


def test_the_shorter_struct_of_an_old_kernel_has_fewer_fields():
    info = tcp_info.parse(bytes(104))
    assert "retransmits" in info
    assert "pacing_rate" not in info
    assert "pacing_rate" not in tcp_info.parse(bytes(111))
    assert "pacing_rate" in tcp_info.parse(bytes(112))
