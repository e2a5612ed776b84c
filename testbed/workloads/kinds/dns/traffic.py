"""dns: queries to a real server, one after the other, as a stub resolver sends them (RFC 1034, 5.3.1; RFC 7766).

Over UDP a query that is not answered in time is sent again; if an answer is too long for a datagram, the query is
repeated over TCP. Over TCP each query has its own connection, and the kernel retransmits. dnspython encodes and decodes
the messages; this module has the sockets and takes the times. Every answer is `received`, even if the name does not
exist.
"""

from __future__ import annotations

import socket
import struct
from array import array
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING

from dns import flags, message, rcode
from dns.exception import DNSException

from testbed.endpoint import tcp
from testbed.endpoint.errors import EndpointError

if TYPE_CHECKING:
    from dns.message import Message

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

UDP_BYTES = 1232
"""The longest answer requested over UDP, which fits any path unfragmented (DNS flag day 2020)."""

_LENGTH = struct.Struct("!H")
_LONGEST = 1 << 16
_WAKE_NS = 100_000_000


def client(spec: Spec, owner: Owner) -> None:
    """Send `count` queries."""
    resolver = _Resolver(spec, owner)
    total = spec.parameters["count"]
    for number in range(total):
        owner.check()
        resolver.ask(number)
        owner.progress((number + 1) / total)
    owner.emit_sent(resolver.sent_ns)
    owner.emit_columns("received", {"seq": resolver.seq, "received_ns": resolver.received_ns})
    resolver.set_ups.write(owner)
    owner.emit("end", repeated=resolver.repeated, truncated=resolver.truncated, errors=resolver.errors)


class _Resolver:
    """Sends queries, and records the times of queries and answers.

    Attributes:
        sent_ns: when each query was first sent.
        seq, received_ns: the number of each answered query, and when it was answered.
        set_ups: the set-up times of the connections.
        repeated: the number of times that a query was sent again over UDP.
        truncated: the number of answers that were too long for a datagram.
        errors: the number of answers with an error (any RCODE but NOERROR).
    """

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self.sent_ns, self.seq, self.received_ns = array("q"), array("q"), array("q")
        self.set_ups = tcp.SetUps()
        self.repeated = self.truncated = self.errors = 0
        self._spec = spec
        self._owner = owner
        self._server = spec.destination
        self._timeout_ns: int = spec.parameters["timeout_ns"]
        self._ids = Random(spec.seed)

    def ask(self, number: int) -> None:
        """Send query `number`, again if necessary, and record its answer."""
        parameters = self._spec.parameters
        query = self._query()
        self.sent_ns.append(monotonic_ns())
        over_udp = parameters["transport"] == "udp"
        answer = self._ask_udp(query) if over_udp else self._ask_tcp(query)
        if answer is not None and answer.flags & flags.TC:
            self.truncated += 1
            answer = self._ask_tcp(query)
        if answer is not None:
            self.seq.append(number)
            self.received_ns.append(monotonic_ns())
            self.errors += answer.rcode() != rcode.NOERROR

    def _query(self) -> Message:
        parameters = self._spec.parameters
        try:
            return message.make_query(
                parameters["query"],
                parameters["type"],
                use_edns=0,
                payload=UDP_BYTES,
                id=self._ids.getrandbits(16),
            )
        except DNSException as error:
            raise EndpointError("invalid-spec", f"{parameters['query']} {parameters['type']}: {error}") from error

    def _ask_udp(self, query: Message) -> Message | None:
        """Return the answer, or None if no try was answered in time."""
        # A socket per query: its port can't be guessed.
        with socket.socket(self._spec.family, socket.SOCK_DGRAM) as client:
            for attempt in range(self._spec.parameters["tries"]):
                self.repeated += attempt > 0
                client.sendto(query.to_wire(), self._server)
                deadline_ns = monotonic_ns() + self._timeout_ns
                while True:
                    self._owner.check()
                    left_ns = max(0, deadline_ns - monotonic_ns())
                    client.settimeout(min(left_ns, _WAKE_NS) / 1e9)
                    try:
                        data, sender = client.recvfrom(_LONGEST)
                    except (TimeoutError, BlockingIOError):
                        if not left_ns:
                            break
                        continue
                    answer = _answer(query, data) if sender == self._server else None
                    if answer is not None:
                        return answer
        return None

    def _ask_tcp(self, query: Message) -> Message | None:
        """Return the answer, or None if there is none within the time of all tries together."""
        deadline_ns = monotonic_ns() + self._timeout_ns * self._spec.parameters["tries"]
        set_up = tcp.connect(self._spec, self._owner)
        self.set_ups.add(set_up)
        with set_up.connection as connection:
            wire = query.to_wire()
            connection.sendall(_LENGTH.pack(len(wire)) + wire)
            data = b""
            while monotonic_ns() < deadline_ns:
                self._owner.check()
                try:
                    received = connection.recv(_LONGEST)
                except BlockingIOError:
                    continue
                data += received
                end = _LENGTH.size + _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else _LONGEST
                if len(data) >= end:
                    return _answer(query, data[_LENGTH.size : end])
                if not received:
                    break
        return None


def _answer(query: Message, data: bytes) -> Message | None:
    """Decode the answer to a query; return None if the data is something else."""
    try:
        answer = message.from_wire(data)
    except DNSException:
        return None
    return answer if query.is_response(answer) else None
