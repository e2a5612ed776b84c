"""The state of an endpoint's TCP connection, now and over time; see `testbed.linux.tcp_info` for what it says."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from testbed.endpoint import tcp
from testbed.linux.tcp_info import parse, parse_congestion

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner

INTERVAL_NS = 100_000_000
"""Time from one sample to the next."""

_LINE = 10  # samples in one line
_LONGEST = 512
_TCP_CC_INFO = 26


def read(connection: socket.socket) -> dict[str, int]:
    """The state of `connection` now."""
    return parse(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LONGEST))


class Sampler:
    """The state of a connection, sampled regularly and told in lines `tcp-info`, with what congestion control adds."""

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self._connection = connection
        self._owner = owner
        self._congestion = tcp.congestion(connection)
        self._rows: list[dict[str, int]] = []
        self._due_ns = 0

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time for the next sample."""
        return now_ns >= self._due_ns

    def take(self, now_ns: int) -> dict[str, int]:
        """Sample; what was found. The next is due after `INTERVAL_NS`."""
        raw = self._connection.getsockopt(socket.IPPROTO_TCP, _TCP_CC_INFO, _LONGEST)
        row = {"at_ns": now_ns, **read(self._connection), **parse_congestion(self._congestion, raw)}
        if self._rows and row.keys() != self._rows[0].keys():  # there was no least round-trip time yet
            self.write()
        self._rows.append(row)
        if len(self._rows) >= _LINE:
            self.write()
        self._due_ns = now_ns + INTERVAL_NS
        return row

    def write(self) -> None:
        """Write what has not been written."""
        if self._rows:
            self._owner.emit_columns("tcp-info", {name: [row[name] for row in self._rows] for name in self._rows[0]})
            self._rows = []
