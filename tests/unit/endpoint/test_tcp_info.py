from __future__ import annotations

import socket

import pytest

from testbed.endpoint import tcp, tcp_info
from testbed.endpoint.columns import decode
from testbed.endpoint.owner import Owner

ESTABLISHED = 1


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def exchange(client, peer):
    client.sendall(b"x" * 5000)
    received = 0
    while received < 5000:
        received += len(peer.recv(5000))


class Listening(Owner):
    """Keeps what an owner would hear."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit_columns(self, event, columns, **_):
        self.lines.append((event, {name: list(values) for name, values in columns.items()}))


def test_the_state_of_a_live_connection(connection):
    exchange(*connection)
    info = tcp_info.read(connection[0])
    assert info["state"] == ESTABLISHED
    assert info["bytes_acked"] <= 5001  # the SYN counts as one
    assert info["cwnd"] >= 1
    assert info["rtt_ns"] > 0
    assert info["rtt_ns"] % 1000 == 0
    assert info["retransmits"] == 0
    assert all(0 <= value < 1 << 63 for value in info.values())


def test_samples_are_due_at_an_interval_and_written_in_columns(connection):
    owner = Listening()
    sampler = tcp_info.Sampler(connection[0], owner)
    times = [number * tcp_info.INTERVAL_NS for number in range(1, 26)]
    for now in times:
        assert sampler.is_due(now)
        sampler.take(now)
        assert not sampler.is_due(now + tcp_info.INTERVAL_NS - 1)
    sampler.write()
    sampler.write()
    assert {event for event, _ in owner.lines} == {"tcp-info"}
    assert [at for _, columns in owner.lines for at in columns["at_ns"]] == times
    for _, columns in owner.lines:
        assert {len(values) for values in columns.values()} == {len(columns["at_ns"])}


def test_samples_of_bbr_include_its_model(start):
    parameters = {"rate_bps": 800_000, "size_bytes": 1000, "duration_ns": 300_000_000, "congestion": "bbr"}
    available = tcp._AVAILABLE.read_text().split()
    if "bbr" not in available:
        pytest.skip("this kernel has no bbr loaded")
    start("tcp-messages", "server", **parameters).line()
    status, lines = start("tcp-messages", "client", **parameters).end()
    assert status == 0
    samples = [line for line in lines if line["event"] == "tcp-info"]
    assert all(value > 0 for line in samples for value in decode(line["bbr_pacing_gain_percent"]))
    assert max(value for line in samples for value in decode(line["bbr_bw_bps"])) > 0
