"""What is written of connections, from what an agent says look by look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from testbed.agent.messages import NodeSockets, Sockets, TcpConnection
from testbed.endpoint.columns import decode
from testbed.errors import LabError
from testbed.lab.socket_sampling import SocketSampling
from testbed.plan import resolve
from testbed.runs import RunWriter, load
from testbed.topology import loads

if TYPE_CHECKING:
    from testbed.agent.client import Agent

PLAN = resolve(loads("name: watched\nnodes: {server: , client: }\nsockets: [server]", "watched.yml"))


def connection(peer: str, acked: int, *, process: str | None = "nginx", **info: int) -> TcpConnection:
    return TcpConnection(
        local="198.18.0.2:80",
        peer=peer,
        state="ESTABLISHED",
        congestion="cubic",
        process=process,
        pid=7,
        send_queue_bytes=0,
        receive_queue_bytes=0,
        send_buffer_bytes=87040,
        receive_buffer_bytes=131072,
        drops=0,
        info={"bytes_acked": acked, **info},
    )


class Told:
    """An agent that says these things, one after the other, and the last again and again."""

    def __init__(self, *looks: list[TcpConnection] | LabError) -> None:
        self.looks = looks
        self.asked = 0

    def call(self, sockets: Sockets) -> dict[str, NodeSockets]:
        look = self.looks[min(self.asked, len(self.looks) - 1)]
        self.asked += 1
        if isinstance(look, LabError):
            raise look
        found = NodeSockets(at_ns=1000 * self.asked, connections=tuple(look))
        return dict.fromkeys(sockets.nodes, found)


def watch(root, told, monkeypatch, *, looks):
    monkeypatch.setattr("testbed.lab.socket_sampling.INTERVAL_S", 0.001)
    with (
        RunWriter(root, PLAN, runtime="netns") as writer,
        SocketSampling(["server"], cast("Agent", told), writer) as watching,
    ):
        while told.asked < looks and watching._thread.is_alive():
            pass
    (sampled,) = load(writer.run.path).sockets
    lines = [json.loads(line) for line in (writer.run.path / sampled.file).read_text().splitlines()]
    return sampled, lines


def acked(lines, name):
    return [value for line in lines if line["connection"] == name for value in decode(line["bytes_acked"])]


def test_connections_come_and_go(tmp_path, monkeypatch):
    one, other = "198.18.0.3:1", "198.18.0.3:2"
    told = Told([connection(one, 1)], [connection(one, 5), connection(other, 7)], [connection(other, 9)], [])
    sampled, lines = watch(tmp_path, told, monkeypatch, looks=4)
    assert (sampled.node, sampled.file, sampled.connections) == ("server", "sockets/server.jsonl", 2)
    assert sampled.samples == told.asked
    assert acked(lines, f"198.18.0.2:80 {one}") == [1, 5]
    assert acked(lines, f"198.18.0.2:80 {other}") == [7, 9]
    assert {(line["event"], line["node"], line["process"], line["congestion"]) for line in lines} == {
        ("tcp-info", "server", "nginx", "cubic")
    }
    assert decode(lines[0]["at_ns"]).tolist() == [1000, 2000]


def test_a_changed_column_begins_a_new_line_and_no_sample_is_lost(tmp_path, monkeypatch):
    peer = "198.18.0.3:1"
    told = Told(
        [connection(peer, 1)],
        [connection(peer, 2, min_rtt_ns=3)],
        [connection(peer, 3, min_rtt_ns=3, process=None)],
        *([connection(peer, number, min_rtt_ns=3, process=None)] for number in range(4, 60)),
        [],
    )
    _, lines = watch(tmp_path, told, monkeypatch, looks=60)
    assert acked(lines, f"198.18.0.2:80 {peer}") == list(range(1, 60))
    assert [line["process"] for line in lines[:3]] == ["nginx", "nginx", None]
    for line in lines:
        assert len({len(column) for column in line.values() if isinstance(column, list)}) == 1


def test_an_agent_that_can_not_tell_fails_the_run(tmp_path, monkeypatch):
    told = Told([connection("198.18.0.3:1", 1)], LabError("sockets-refused", "no"))
    with pytest.raises(LabError) as raised:
        watch(tmp_path, told, monkeypatch, looks=3)
    assert raised.value.code == "sockets-refused"
    (left,) = (tmp_path / "watched").iterdir()
    assert left.name.endswith(".incomplete")


def test_the_error_that_ended_the_run_is_raised_not_the_samplers(tmp_path):
    told = Told(LabError("sockets-refused", "no"))
    with (
        pytest.raises(KeyboardInterrupt),
        RunWriter(tmp_path, PLAN, runtime="netns") as writer,
        SocketSampling(["server"], cast("Agent", told), writer),
    ):
        raise KeyboardInterrupt


def test_without_nodes_the_agent_is_not_called(tmp_path):
    told = Told(LabError("sockets-refused", "no"))
    with RunWriter(tmp_path, PLAN, runtime="netns") as writer, SocketSampling([], cast("Agent", told), writer):
        pass
    assert told.asked == 0
    assert load(writer.run.path).sockets == ()
