"""tcp-rr: the client repeatedly sends a request and waits for its reply, on one connection or on one per request."""

from __future__ import annotations

import selectors
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, tcp_info
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pattern import pattern
from testbed.endpoint.tcp_info import Sampler

if TYPE_CHECKING:
    import socket

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_WAKE_S = 0.1
_READ_BYTES = 1 << 16


prepare = tcp.prepare


def client(spec: Spec, owner: Owner) -> None:
    """Send `count` requests, each after the reply to the one before, on one connection or on one per request.

    The time `sent` is that of the call that sends the request or, with `connect: each`, of the call that connects;
    `received` is the time at which the last byte of the reply was read.
    """
    count = spec.parameters["count"]
    reconnects = spec.parameters["connect"] == "each"
    sent, received, set_ups = array("q"), array("q"), tcp.SetUps()
    retransmits = 0
    exchange = _Exchange(spec, owner)
    connection: socket.socket | None = None
    try:
        for number in range(count):
            owner.check()
            if connection is None:
                set_up = tcp.connect(spec, owner)
                connection = set_up.connection
                set_ups.add(set_up)
                if number == 0:
                    owner.emit("congestion", name=tcp.congestion(connection))
                if not reconnects:
                    exchange.sampler = Sampler(connection, owner)
            sent.append(set_up.begun_ns if reconnects else monotonic_ns())
            exchange.run(connection)
            received.append(monotonic_ns())
            if reconnects or number == count - 1:
                retransmits += tcp_info.read(connection)["retransmits"]
                connection.close()
                connection = None
            owner.progress((number + 1) / count)
    finally:
        if connection is not None:
            connection.close()
    exchange.write_samples()
    set_ups.write(owner)
    owner.emit_sent(sent)
    owner.emit_columns("received", {"seq": range(count), "received_ns": received})
    owner.emit("end", retransmits=retransmits)


class _Exchange:
    """Sends requests and receives replies.

    Attributes:
        sampler: samples the connection, if one connection carries all requests.
    """

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self.sampler: Sampler | None = None
        self._spec = spec
        self._owner = owner
        self._request = pattern(spec.seed, spec.parameters["size_bytes"])
        self._expected = pattern(spec.seed, spec.parameters["reply_bytes"])
        self._reply = bytearray(len(self._expected))

    def run(self, connection: socket.socket) -> None:
        """Send the request and read all of the reply.

        Raises:
            EndpointError: the reply is wrong, or does not arrive.
        """
        send_all(connection, self._request, self._spec, self._owner)
        self._sample()
        rest = memoryview(self._reply)
        stall = tcp.Stall(self._spec)
        while rest:
            try:
                size = connection.recv_into(rest)
            except BlockingIOError:
                self._owner.check()
                self._sample()
                stall.check(len(rest))
                continue
            if not size:
                raise EndpointError("connection-closed", f"the server closed {len(rest)} bytes before a reply's end")
            rest = rest[size:]
        if self._reply != self._expected:
            raise EndpointError("corrupt-data", "a reply differs from what the server sends")

    def _sample(self) -> None:
        """Sample the state of the connection, if a sample is due."""
        now = monotonic_ns()
        if self.sampler is not None and self.sampler.is_due(now):
            self.sampler.take(now)

    def write_samples(self) -> None:
        """Write the samples that are not written yet."""
        if self.sampler is not None:
            self.sampler.write()


def send_all(connection: socket.socket, data: bytes, spec: Spec, owner: Owner) -> None:
    """Send all of `data`, waiting for room in the socket.

    Raises:
        EndpointError: the connection has stalled.
    """
    rest = memoryview(data)
    stall = tcp.Stall(spec)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except BlockingIOError:
            owner.check()
            stall.check(len(rest))


def server(spec: Spec, owner: Owner) -> None:
    """Answer each request on the expected number of connections; several may be open, as an old one may be closing."""
    awaited = spec.parameters["count"] if spec.parameters["connect"] == "each" else 1
    service = _Service(spec, owner)
    with tcp.listen(spec) as server, selectors.DefaultSelector() as ready:
        ready.register(server, selectors.EVENT_READ)
        owner.emit("listening")
        while service.closed < awaited and not owner.stopping:
            for key, _ in ready.select(_WAKE_S):
                if key.fileobj is server:
                    connection = service.open(server)
                    ready.register(connection, selectors.EVENT_READ)
                else:
                    connection = key.fileobj  # type: ignore[assignment]
                    if not service.read(connection):
                        ready.unregister(connection)
                        service.close(connection)
        service.close_all()
    owner.emit("end", retransmits=service.retransmits)


class _Service:
    """The open connections, and how much of the current request was received on each.

    Attributes:
        closed: the number of connections that the client has closed.
        retransmits: the number of retransmitted segments on closed connections.
    """

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self.closed = 0
        self.retransmits = 0
        self._spec = spec
        self._owner = owner
        self._request = pattern(spec.seed, spec.parameters["size_bytes"])
        self._reply = pattern(spec.seed, spec.parameters["reply_bytes"])
        self._read: dict[socket.socket, int] = {}

    def open(self, server: socket.socket) -> socket.socket:
        """Accept a waiting connection."""
        connection = tcp.accept(server, self._spec, self._owner)
        self._read[connection] = 0
        return connection

    def read(self, connection: socket.socket) -> bool:
        """Read from a connection, and reply when the request is complete; return False if the client has closed.

        Raises:
            EndpointError: the request is wrong.
        """
        have = self._read[connection]
        try:
            data = connection.recv(min(_READ_BYTES, len(self._request) - have))
        except BlockingIOError:  # only a part of a TLS record has arrived
            return True
        if not data:
            return False
        if not self._request.startswith(data, have):
            raise EndpointError("corrupt-data", "a request differs from what the client sends")
        self._read[connection] = have + len(data)
        if self._read[connection] == len(self._request):
            self._read[connection] = 0
            send_all(connection, self._reply, self._spec, self._owner)
        return True

    def close(self, connection: socket.socket) -> None:
        """Close a connection and count its retransmits."""
        self.closed += 1
        self.retransmits += tcp_info.read(connection)["retransmits"]
        del self._read[connection]
        connection.close()

    def close_all(self) -> None:
        """Close all open connections."""
        for connection in list(self._read):
            self.close(connection)
