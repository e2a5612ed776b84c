"""Read and sample the state of an endpoint's TCP connection; `testbed.linux.tcp_info` describes its fields."""

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
    """Return the current state of `connection`."""
    return parse(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LONGEST))


class Sampler:
    """Samples the state of a connection and its congestion control, and writes it in lines `tcp-info`."""

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self._connection = connection
        self._owner = owner
        self._congestion = tcp.congestion(connection)
        self._rows: list[dict[str, int]] = []
        self._due_ns = 0

    def is_due(self, now_ns: int) -> bool:
        """Return whether the next sample is due."""
        return now_ns >= self._due_ns

    def take(self, now_ns: int) -> dict[str, int]:
        """Take a sample and return it; the next is due after `INTERVAL_NS`."""
        raw = self._connection.getsockopt(socket.IPPROTO_TCP, _TCP_CC_INFO, _LONGEST)
        row = {"at_ns": now_ns, **read(self._connection), **parse_congestion(self._congestion, raw)}
        if self._rows and row.keys() != self._rows[0].keys():  # the minimum round-trip time was not known before
            self.write()
        self._rows.append(row)
        if len(self._rows) >= _LINE:
            self.write()
        self._due_ns = now_ns + INTERVAL_NS
        return row

    def write(self) -> None:
        """Write the samples that are not written yet."""
        if self._rows:
            self._owner.emit_columns("tcp-info", {name: [row[name] for row in self._rows] for name in self._rows[0]})
            self._rows = []
