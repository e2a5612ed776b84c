"""The record of the samples of a node's TCP connections during a run, of any program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """The TCP connections of a node during a run.

    Attributes:
        node: its name.
        file: with the samples, as seen from the run's directory. Each line is an object with `event`, which is
            `tcp-info`, the `node`, the `connection` (`198.18.0.2:80 198.18.0.3:40000`, the node's end first), its
            `process` and `congestion`, and columns coded as `testbed.endpoint.columns` does: `at_ns`, the queues of
            the socket, and what `testbed.linux.tcp_info` says of it.
        connections: number of connections.
        samples: number of samples of the node.
    """

    node: str
    file: str
    connections: int
    samples: int
