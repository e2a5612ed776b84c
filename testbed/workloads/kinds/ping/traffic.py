"""ping: ICMP echo requests (RFC 792; over IPv6 RFC 4443), which the destination's kernel answers."""

from __future__ import annotations

import select
import socket
import struct
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from testbed.endpoint.pattern import pattern

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
_WAKE_NS = 100_000_000
_LONGEST = 1 << 16
_LEAST_WAIT_NS, _MOST_WAIT_NS = 1_000_000_000, 10_000_000_000


class _Icmp(NamedTuple):
    """The numbers of ICMP over one family of IP: of the protocol, and the types of the two messages."""

    protocol: int
    request: int
    reply: int


_ICMP4 = _Icmp(socket.IPPROTO_ICMP, request=8, reply=0)
_ICMP6 = _Icmp(socket.IPPROTO_ICMPV6, request=128, reply=129)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def client(spec: Spec, owner: Owner) -> None:
    """Send `count` echo requests, one every `interval_ns`, and record every reply.

    After the last request, wait for the missing replies, at most for the path's longest round trip plus the time that
    iputils' ping waits: twice the longest round trip so far, but at least a second, or ten seconds without any reply.
    """
    total = spec.parameters["count"]
    icmp = _ICMP6 if spec.family == socket.AF_INET6 else _ICMP4
    with socket.socket(spec.family, socket.SOCK_RAW, icmp.protocol) as client:
        echo = _Echo(client, icmp, spec, owner)
        start_ns = owner.start_ns
        for number in range(total):
            echo.receive_until(start_ns + number * spec.parameters["interval_ns"])
            echo.send(number)
            owner.progress(number / total)
        last_ns = monotonic_ns()
        while len(echo.answered) < total and (wait_until := last_ns + echo.wait_ns()) > monotonic_ns():
            echo.receive_until(min(wait_until, monotonic_ns() + _WAKE_NS))
        echo.receive_until(0)  # those that have come while this process got no processor
    owner.emit_sent(echo.sent_ns)
    owner.emit_columns("received", {"seq": echo.seq, "received_ns": echo.received_ns})
    owner.emit("end", start_ns=start_ns)


class _Echo:
    """Sends requests, and records them and their replies.

    Attributes:
        sent_ns: the time of each request.
        seq, received_ns: the number and the time of each reply.
        answered: the numbers of the requests that were answered.
    """

    def __init__(self, client: socket.socket, icmp: _Icmp, spec: Spec, owner: Owner) -> None:
        self.sent_ns, self.seq, self.received_ns = array("q"), array("q"), array("q")
        self.answered: set[int] = set()
        self._longest_ns = 0
        self._client = client
        self._icmp = icmp
        self._spec = spec
        self._address, *_ = spec.destination
        self._owner = owner
        self._identifier = spec.seed & 0xFFFF
        self._payload = pattern(spec.seed, spec.parameters["size_bytes"])

    def send(self, number: int) -> None:
        """Send request `number`. Over IPv6 the kernel replaces the checksum (RFC 3542, 3.1), which covers addresses."""
        fields = (self._icmp.request, 0, 0, self._identifier, number & 0xFFFF)
        value = checksum(_HEADER.pack(*fields) + self._payload)
        packet = _HEADER.pack(*fields[:2], value, *fields[3:]) + self._payload
        self.sent_ns.append(monotonic_ns())
        self._client.sendto(packet, (self._address, 0))

    def wait_ns(self) -> int:
        """Return how long to wait for replies after the last request."""
        beyond_ns = max(_LEAST_WAIT_NS, 2 * self._longest_ns) if self.answered else _MOST_WAIT_NS
        return self._spec.round_trip_ns + beyond_ns

    def receive_until(self, until_ns: int) -> None:
        """Record the replies that arrive before `until_ns`, or those in the socket if that has passed.

        Raises:
            Stopped: the owner wants the endpoint to stop.
        """
        while True:
            self._owner.check()
            left_ns = max(0, until_ns - monotonic_ns())
            if select.select([self._client], [], [], min(left_ns, _WAKE_NS) / 1e9)[0]:
                now = monotonic_ns()
                packet, (source, *_) = self._client.recvfrom(_LONGEST)
                self._note(packet, source, now)
            elif left_ns <= _WAKE_NS:
                return
            else:
                self._owner.progress(len(self.sent_ns) / self._spec.parameters["count"])

    def _note(self, packet: bytes, source: str, now: int) -> None:
        """Record a packet if it is a reply to one of our requests."""
        # A raw socket also delivers the header of IPv4, but not that of IPv6.
        message = packet if self._icmp is _ICMP6 else packet[(packet[0] & 0xF) * 4 :]
        if source != self._address or len(message) != _HEADER.size + len(self._payload):
            return
        kind, _, _, identifier, wire = _HEADER.unpack_from(message)
        if kind != self._icmp.reply or identifier != self._identifier or message[_HEADER.size :] != self._payload:
            return
        latest = len(self.sent_ns) - 1
        number = latest - ((latest - wire) & 0xFFFF)  # the latest request with these 16 bits
        if number < 0:
            return
        self.seq.append(number)
        self.received_ns.append(now)
        self.answered.add(number)
        self._longest_ns = max(self._longest_ns, now - self.sent_ns[number])
