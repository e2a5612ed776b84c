"""The TCP connections of nodes."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.calls import Call, Payload


class TcpConnection(Payload, frozen=True, kw_only=True):
    """A TCP connection of a node.

    Attributes:
        local, peer: `198.18.0.2:80`.
        state: its name.
        congestion: the name of its congestion control.
        pid, process: of one that has it open; None where that is not known.
        info: see `testbed.linux.tcp_info`.
    """

    local: str
    peer: str
    state: str
    congestion: str
    receive_queue_bytes: int
    send_queue_bytes: int
    receive_buffer_bytes: int
    send_buffer_bytes: int
    drops: int
    info: Mapping[str, int]
    pid: int | None = None
    process: str | None = None


class NodeSockets(Payload, frozen=True, kw_only=True):
    """The TCP connections of a node at a time."""

    at_ns: int
    connections: tuple[TcpConnection, ...]


class Sockets(Call[Mapping[str, NodeSockets]], frozen=True, kw_only=True):
    """Ask for the TCP connections of nodes; the result is by node, without those that do not run at the moment."""

    nodes: tuple[str, ...]
