"""quic: messages at a steady rate over QUIC (RFC 9000), each in its own stream or all in one.

This is the counterpart of tcp-messages and udp-stream. aioquic implements the protocol without input and output; this
module has the sockets and takes the times. As in tcp-messages, a message is created when it is due, and `sent` is the
time of its creation: a message that can't be sent yet waits in the connection, and the wait is part of its delay.

With a stream per message, a lost packet delays only the messages in it. With one stream for all, the messages behind it
wait in the server until it is retransmitted, as with TCP.
"""

from __future__ import annotations

import select
import socket
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from cryptography.hazmat.primitives.serialization import Encoding

from testbed.endpoint import tls, udp
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pacing import SECOND, count
from testbed.endpoint.patience import stall_ns
from testbed.endpoint.pattern import pattern
from testbed.workloads.kinds.quic import HEADER
from testbed.workloads.kinds.quic.log import Log

if TYPE_CHECKING:
    from aioquic.quic.events import QuicEvent

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_ALPN = "testbed"
_IDLE = "Idle timeout"  # aioquic's reason
_DATAGRAM_BYTES = 1 << 16
_WAKE_NS = 100_000_000
_NEVER_NS = 1 << 63
_NOWHERE = ("192.0.2.1", 1)
_TURNS = 4  # of a handshake, and the packets right after it
_DONE = b"\1"  # the server sends it in its own stream when it has received all messages


class _Connection:
    """A QUIC connection over a UDP socket, until it is closed.

    Attributes:
        protocol: aioquic's connection.
        ended: whether the connection is closed.
    """

    def __init__(self, protocol: QuicConnection, own: socket.socket) -> None:
        self.protocol = protocol
        self.ended = False
        self._socket = own
        own.setblocking(False)  # noqa: FBT003 (the standard library's signature)

    def transmit(self) -> None:
        """Send all pending datagrams."""
        for data, address in self.protocol.datagrams_to_send(now=_now()):
            try:
                self._socket.sendto(data, address)
            except BlockingIOError:
                select.select(
                    [], [self._socket], [], _WAKE_NS / SECOND
                )  # this datagram is lost, and QUIC sends it again

    def receive(self, until_ns: int) -> None:
        """Process arriving datagrams; wait for them at most until `until_ns` or a timer of the protocol.

        Return within 0.1 s, so that the caller can check the owner.
        """
        timer = self.protocol.get_timer()
        wake_ns = min(until_ns, monotonic_ns() + _WAKE_NS, round(timer * SECOND) if timer else until_ns)
        select.select([self._socket], [], [], max(0, wake_ns - monotonic_ns()) / SECOND)
        while True:
            try:
                data, address = self._socket.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            self.protocol.receive_datagram(data, address, now=_now())
        timer = self.protocol.get_timer()
        if timer is not None and timer <= _now():
            self.protocol.handle_timer(now=_now())

    def events(self) -> list[QuicEvent]:
        """Return the new events of the connection.

        Raises:
            EndpointError: `stalled`; `quic-failed`: the connection ended with an error.
        """
        new_events = list(iter(self.protocol.next_event, None))
        for event in new_events:
            if isinstance(event, ConnectionTerminated):
                self.ended = True
                if event.reason_phrase == _IDLE:
                    message = f"nothing has come for {self.protocol.configuration.idle_timeout:.0f} s"
                    raise EndpointError("stalled", message, "is the path partitioned, or its loss near 100 %?")
                if event.error_code:
                    raise EndpointError("quic-failed", f"QUIC: {event.reason_phrase or hex(event.error_code)}")
        return new_events


def prepare(spec: Spec) -> None:
    """Do a handshake in memory, because the first one of a process takes some 10 ms more than all others."""
    client = QuicConnection(configuration=_configuration(spec, is_client=True))
    client.connect(_NOWHERE, now=0)
    server = QuicConnection(
        configuration=_configuration(spec, is_client=False),
        original_destination_connection_id=client.original_destination_connection_id,
    )
    for turn in range(_TURNS):
        sender, receiver = (server, client) if turn % 2 else (client, server)
        for data, _ in sender.datagrams_to_send(now=0):
            receiver.receive_datagram(data, _NOWHERE, now=0)


def client(spec: Spec, owner: Owner) -> None:
    """Connect, send message n when the bits of n messages are due, and wait until the server has received all."""
    configuration = _configuration(spec, is_client=True)
    log = configuration.quic_logger = Log()
    with socket.socket(spec.family, socket.SOCK_DGRAM) as own:
        udp.enlarge(own)
        connection = _Connection(QuicConnection(configuration=configuration), own)
        begun_ns = monotonic_ns()
        connection.protocol.connect(spec.destination, now=_now())
        connection.transmit()
        while not any(isinstance(event, HandshakeCompleted) for event in connection.events()):
            owner.check()
            connection.receive(monotonic_ns() + _WAKE_NS)
            connection.transmit()
        owner.emit_columns("connections", {"begun_ns": [begun_ns], "connected_ns": [monotonic_ns()]})
        owner.emit("congestion", name=configuration.congestion_control_algorithm)
        sender = _MessageSource(connection.protocol, spec)
        done = False
        while not done:
            owner.check()
            sender.make(monotonic_ns())
            connection.transmit()
            connection.receive(sender.due_ns)
            done = any(isinstance(event, StreamDataReceived) for event in connection.events())
            owner.progress(len(sender.made_ns) / sender.count)
        connection.protocol.close()
        connection.transmit()
    log.write(owner)
    owner.emit_sent(sender.made_ns)
    owner.emit("end", count=sender.count, start_ns=sender.start_ns, retransmits=log.lost)


class _MessageSource:
    """Creates the messages and passes them to the connection.

    Attributes:
        count: the number of messages.
        start_ns: the due time of the first message.
        made_ns: when each message was created.
    """

    def __init__(self, protocol: QuicConnection, spec: Spec) -> None:
        self.count = count(spec)
        self.made_ns = array("q")
        self._protocol = protocol
        self._size: int = spec.parameters["size_bytes"]
        self._rate: int = spec.parameters["rate_bps"]
        self._rest = pattern(spec.seed, self._size - HEADER.size)
        shared = spec.parameters["streams"] == "one"
        self._stream = protocol.get_next_available_stream_id(is_unidirectional=True) if shared else None
        self.start_ns = monotonic_ns()

    @property
    def due_ns(self) -> int:
        """The due time of the next message; practically never after the last one."""
        made = len(self.made_ns)
        return self.start_ns + made * 8 * self._size * SECOND // self._rate if made < self.count else _NEVER_NS

    def make(self, now: int) -> None:
        """Create all messages that are due."""
        while self.due_ns <= now:
            message = HEADER.pack(len(self.made_ns)) + self._rest
            self.made_ns.append(now)
            last = self._stream is None or len(self.made_ns) == self.count
            stream = self._stream
            if stream is None:
                stream = self._protocol.get_next_available_stream_id(is_unidirectional=True)
            self._protocol.send_stream_data(stream, message, end_stream=last)


def server(spec: Spec, owner: Owner) -> None:
    """Accept one connection, check its bytes, and record when each message was complete."""
    with udp.bound(spec.address, spec.port) as own:
        owner.emit("listening")
        connection = _accepted(spec, own, owner)
        arrivals, answered = _MessageAssembler(spec), False
        while not connection.ended:
            for event in connection.events():
                if isinstance(event, StreamDataReceived):
                    arrivals.add(event.stream_id, event.data, monotonic_ns())
            if arrivals.complete and not answered:
                answered = True
                answer = connection.protocol.get_next_available_stream_id(is_unidirectional=True)
                connection.protocol.send_stream_data(answer, _DONE, end_stream=True)
            connection.transmit()
            if owner.stopping and answered:
                break  # the client is done; its close may be lost, or the connection drains for three PTOs
            owner.check()
            connection.receive(monotonic_ns() + _WAKE_NS)
    owner.emit_columns("received", {"seq": arrivals.seq, "received_ns": arrivals.received_ns})
    owner.emit("end", first_byte_ns=arrivals.first_ns)


def _accepted(spec: Spec, own: socket.socket, owner: Owner) -> _Connection:
    """Wait for the first datagram that begins a connection, and return the connection."""
    configuration = _configuration(spec, is_client=False)
    own.settimeout(_WAKE_NS / SECOND)
    while True:
        owner.check()
        try:
            data, address = own.recvfrom(_DATAGRAM_BYTES)
            header = pull_quic_header(Buffer(data=data), host_cid_length=configuration.connection_id_length)
        except (TimeoutError, ValueError):
            continue
        if header.packet_type is QuicPacketType.INITIAL:
            break
    protocol = QuicConnection(configuration=configuration, original_destination_connection_id=header.destination_cid)
    protocol.receive_datagram(data, address, now=_now())
    return _Connection(protocol, own)


class _MessageAssembler:
    """Assembles messages from the data of streams.

    Attributes:
        seq, received_ns: the number and the time of each complete message, in order of completion.
        first_ns: when the first byte arrived; 0 before.
    """

    def __init__(self, spec: Spec) -> None:
        self.seq, self.received_ns = array("q"), array("q")
        self.first_ns = 0
        self._count = count(spec)
        self._size: int = spec.parameters["size_bytes"]
        self._rest = pattern(spec.seed, self._size - HEADER.size)
        self._partial: dict[int, bytearray] = {}

    @property
    def complete(self) -> bool:
        """Whether all messages have arrived."""
        return len(self.seq) == self._count

    def add(self, stream: int, data: bytes, now: int) -> None:
        """Process the next bytes of a stream.

        Raises:
            EndpointError: `corrupt-data`.
        """
        self.first_ns = self.first_ns or now
        partial = self._partial.setdefault(stream, bytearray())
        partial += data
        while len(partial) >= self._size:
            (number,) = HEADER.unpack_from(partial)
            if partial[HEADER.size : self._size] != self._rest:
                raise EndpointError("corrupt-data", f"message {number} is not what was sent")
            self.seq.append(number)
            self.received_ns.append(now)
            del partial[: self._size]
        if not partial:
            del self._partial[stream]


def _configuration(spec: Spec, *, is_client: bool) -> QuicConfiguration:
    """Return the configuration of one end; the key is that of `testbed.endpoint.tls`."""
    configuration = QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[_ALPN],
        congestion_control_algorithm=spec.parameters["congestion"],
        idle_timeout=stall_ns(spec.round_trip_ns) / SECOND,
        server_name=tls.NAME,
    )
    if is_client:
        configuration.load_verify_locations(cadata=tls.certificate_of(spec.seed).public_bytes(Encoding.PEM))
    else:
        with tls.identity_file(spec.seed) as path:
            configuration.load_cert_chain(path)
    return configuration


def _now() -> float:
    return monotonic_ns() / SECOND
