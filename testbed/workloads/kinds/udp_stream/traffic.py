"""udp-stream: the client sends datagrams at a steady rate; the server notes which arrive, and when."""

from __future__ import annotations

import socket
from array import array
from itertools import compress
from operator import not_
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, udp
from testbed.endpoint.columns import Column, Spool, encode
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pacing import SECOND, count, wait_until
from testbed.endpoint.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_HEADER_BYTES = udp.HEADER.size

_LOOK = 256  # datagrams between two looks at the owner, and at the disk
_SPARE = 1024


def client(spec: Spec, owner: Owner) -> None:
    """Send datagram n when n datagrams' bits are due at the rate, never earlier; how late shows in `sent_ns`."""
    total, rate = count(spec), spec.parameters["rate_bps"]
    datagram_bits = 8 * spec.parameters["size_bytes"] * SECOND
    data = bytearray(pattern(spec.seed, spec.parameters["size_bytes"]))
    sent_ns, column = array("q"), Column()
    put_header, seal, clock, note, seed = udp.HEADER.pack_into, udp.seal, monotonic_ns, sent_ns.append, spec.seed
    # Not connected: an ICMP error for one datagram must not keep the next from being sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        target, send = (spec.address, spec.port), client.sendto
        start_ns = owner.start_ns
        for first in range(0, total, _LOOK):
            for number in range(first, min(first + _LOOK, total)):
                due_ns = start_ns + number * datagram_bits // rate
                put_header(data, 0, seal(seed, number), number)
                if clock() < due_ns:
                    wait_until(due_ns, owner, number / total)
                note(clock())
                send(data, target)
            column.extend(sent_ns)
            del sent_ns[:]
            owner.check()
            owner.progress(first / total)
    first = 0
    for rows in column.parts():
        owner.emit("sent", first=first, sent_ns=encode(rows))
        first += len(rows)
    owner.emit("end", count=total, start_ns=start_ns)


def server(spec: Spec, owner: Owner) -> None:
    """Note the header and the time of every datagram until the owner says stop; then what waits in the socket.

    Nothing is read from a datagram but its header, and nothing is decoded before the end. What is none of our datagrams
    shows in the last line: `corrupted` once was one, `strangers` never were; and what came too fast for us, in `drops`.
    """
    arrivals = _Arrivals()
    overflows_before = udp.overflows()
    with udp.bound(spec.address, spec.port) as server:
        tcp.wake(server)
        owner.emit("listening")
        _receive(server, spec, owner, arrivals)
        dropped = udp.drops(server, overflows_before)
    foreign = udp.Foreign(spec.seed)
    for headers, times_ns in arrivals:
        ours = [
            bool(of_ours and at_ns) for of_ours, at_ns in zip(udp.intact(spec.seed, headers), times_ns, strict=True)
        ]
        seq = array("q", [number for _, number in compress(headers, ours)])
        owner.emit_columns("received", {"seq": seq, "received_ns": array("q", [*compress(times_ns, ours)])})
        for (sealed, number), at_ns in compress(zip(headers, times_ns, strict=True), map(not_, ours)):
            foreign.add(sealed, number, of_our_size=at_ns > 0)
    owner.emit("end", corrupted=foreign.corrupted, strangers=foreign.strangers, drops=dropped)


class _Arrivals:
    """The headers and times of datagrams, on disk but for the last few.

    Attributes:
        headers, times_ns: room for the next few, to be filled by the receiver.
    """

    def __init__(self) -> None:
        self.headers = bytearray(_HEADER_BYTES * _LOOK)
        self.times_ns = array("q", bytes(8 * _LOOK))
        self._headers, self._times_ns = Spool(), Column()

    def keep(self, count: int) -> None:
        """Note that so many are filled."""
        self._headers.write(memoryview(self.headers)[: count * _HEADER_BYTES])
        self._times_ns.extend(self.times_ns[:count])

    def __iter__(self) -> Iterator[tuple[list[tuple[int, int]], array[int]]]:
        """Headers and times, in order, some at a time."""
        start = 0
        for times_ns in self._times_ns.parts():
            end = start + len(times_ns)
            yield list(udp.HEADER.iter_unpack(self._headers.read(start * _HEADER_BYTES, end * _HEADER_BYTES))), times_ns
            start = end


def _receive(server: socket.socket, spec: Spec, owner: Owner, arrivals: _Arrivals) -> None:
    """Note what comes, with the time 0 where the size is not ours."""
    size, clock, receive = spec.parameters["size_bytes"], monotonic_ns, server.recv_into
    headers, times_ns = memoryview(arrivals.headers), arrivals.times_ns
    room = 2 * count(spec) + _SPARE  # for duplicates
    for arrived in range(room):
        place = arrived % _LOOK
        if not place and arrived:
            arrivals.keep(_LOOK)
        start = place * _HEADER_BYTES
        length = None
        while length is None:
            flags = socket.MSG_TRUNC | (socket.MSG_DONTWAIT if owner.stopping else 0)
            try:
                length = receive(headers[start : start + _HEADER_BYTES], _HEADER_BYTES, flags)
            except BlockingIOError:
                if flags & socket.MSG_DONTWAIT:
                    arrivals.keep(place)
                    return
        times_ns[place] = clock() if length == size else 0
    raise EndpointError(
        "too-many-datagrams",
        f"{room} datagrams have come; {count(spec)} are sent",
        "does the path send every packet more than twice?",
    )
