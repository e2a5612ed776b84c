"""tcp-messages: the client sends messages at a steady rate on one connection; the server times their arrivals.

This is the counterpart of udp-stream, for messages that do not need TCP's ordering. When a segment is lost, all
messages behind it wait in the server's kernel until it is retransmitted (head-of-line blocking).

A message is created when it is due, whether or not the socket has room for it, and waits in the client if not. `sent`
is the time of its creation, so the wait is part of its delay. If a message were created only after the one before was
sent, a blocked socket would hide the delays of later messages (coordinated omission). How late this process creates a
message is counted separately, as in udp-stream.
"""

from __future__ import annotations

import select
import socket
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, tcp_info
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pacing import SECOND, count, wait_until
from testbed.endpoint.pattern import PERIOD, pattern
from testbed.endpoint.tcp_info import Sampler

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_READ_BYTES = 1 << 16
_WAKE_NS = 100_000_000


prepare = tcp.prepare


def client(spec: Spec, owner: Owner) -> None:
    """Connect, send message n when the bits of n messages are due, and wait until the server has received all."""
    set_up = tcp.connect(spec, owner)
    with set_up.connection as connection:
        tcp.report(set_up, owner)
        connection.setblocking(False)  # noqa: FBT003 (the standard library's signature)
        sender = _Sender(connection, spec, owner)
        sender.send_all()
        connection.shutdown(socket.SHUT_WR)
        sender.await_close()
        owner.emit_sent(sender.made_ns)
        owner.emit(
            "end",
            count=len(sender.made_ns),
            start_ns=sender.start_ns,
            retransmits=tcp_info.read(connection)["retransmits"],
        )


class _Sender:
    """Creates and sends the messages.

    Attributes:
        start_ns: the due time of the first message.
        made_ns: when each message was created.
    """

    def __init__(self, connection: socket.socket, spec: Spec, owner: Owner) -> None:
        self.made_ns = array("q")
        self._connection = connection
        self._owner = owner
        self._count = count(spec)
        self._size: int = spec.parameters["size_bytes"]
        self._rate: int = spec.parameters["rate_bps"]
        self._content = memoryview(pattern(spec.seed, PERIOD + self._size))
        self._sent = 0
        self._sampler = Sampler(connection, owner)
        self._stall = tcp.Stall(spec)
        self.start_ns = monotonic_ns()

    def send_all(self) -> None:
        """Create and send all messages, each with its own system call.

        Raises:
            Stopped: the owner wants the endpoint to stop.
            EndpointError: the stream has stalled.
        """
        while self._sent < self._count * self._size:
            made, wake_ns = len(self.made_ns), monotonic_ns() + _WAKE_NS
            due_ns = min(self._due_ns(made), wake_ns) if made < self._count else wake_ns
            if self._sent < made * self._size:
                self._await_room(due_ns)
            else:
                wait_until(due_ns, self._owner, made / self._count)
            now = monotonic_ns()
            while len(self.made_ns) < self._count and self._due_ns(len(self.made_ns)) <= now:
                self.made_ns.append(now)
            self._send()
            self._check()

    def _due_ns(self, number: int) -> int:
        return self.start_ns + number * 8 * self._size * SECOND // self._rate

    def _await_room(self, until_ns: int) -> None:
        """Wait until the socket has room, at most until `until_ns`."""
        select.select([], [self._connection], [], max(0, until_ns - monotonic_ns()) / 1e9)

    def _send(self) -> None:
        """Send as much of the created messages as the socket takes."""
        made = len(self.made_ns) * self._size
        while self._sent < made:
            offset, left = self._sent % PERIOD, self._size - self._sent % self._size
            try:
                self._sent += self._connection.send(self._content[offset : offset + left])
            except BlockingIOError:
                return

    def _check(self) -> None:
        """Check the owner and sample the state of the connection, if a sample is due."""
        now = monotonic_ns()
        if self._sampler.is_due(now):
            self._owner.check()
            self._owner.progress(len(self.made_ns) / self._count)
            row = self._sampler.take(now)
            self._stall.check(row["bytes_acked"] if row["unacked"] else now)

    def await_close(self) -> None:
        """Wait until the server has read everything and closed."""
        while True:
            self._check()
            select.select([self._connection], [], [], _WAKE_NS / 1e9)
            try:
                if not self._connection.recv(1):
                    break
            except BlockingIOError:
                continue
        self._sampler.write()


def server(spec: Spec, owner: Owner) -> None:
    """Accept one connection, check its bytes, and record when each message was complete."""
    with tcp.listen(spec) as server:
        owner.emit("listening")
        connection = tcp.accept(server, spec, owner)
    with connection:
        received_ns, first_ns = _receive(connection, spec, owner)
    owner.emit_columns("received", {"seq": range(len(received_ns)), "received_ns": received_ns})
    owner.emit("end", first_byte_ns=first_ns)


def _receive(connection: socket.socket, spec: Spec, owner: Owner) -> tuple[array[int], int]:
    """Return when each message was complete, and when the first byte arrived (0 if none did)."""
    size = spec.parameters["size_bytes"]
    expected = memoryview(pattern(spec.seed, PERIOD + _READ_BYTES))
    data = bytearray(_READ_BYTES)
    received_ns = array("q")
    total = first_ns = 0
    while True:
        try:
            length = connection.recv_into(data)
        except BlockingIOError:
            owner.check()
            continue
        now = monotonic_ns()
        if not length:
            return received_ns, first_ns
        offset = total % PERIOD
        if not data.startswith(expected[offset : offset + length]):
            raise EndpointError("corrupt-data", f"message {total // size} or one soon after is not what was sent")
        first_ns = first_ns or now
        total += length
        received_ns.extend([now] * (total // size - len(received_ns)))
