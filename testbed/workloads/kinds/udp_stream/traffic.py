"""udp-stream: the client sends datagrams at a steady rate; the server records which arrive, and when."""

from __future__ import annotations

import socket
from array import array
from functools import partial
from itertools import compress
from operator import not_
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import raw_ip, tcp, udp
from testbed.endpoint.columns import Column, Spool, encode
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pacing import SECOND, count, wait_until
from testbed.endpoint.pattern import pattern
from testbed.linux.arrival import arrival_ns, read_lag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_HEADER_BYTES = udp.HEADER.size

_LOOK = 256  # datagrams after which the owner is checked and times are written to disk
_SPARE = 1024


def client(spec: Spec, owner: Owner) -> None:
    """Send datagram n when the bits of n datagrams are due at the rate, never earlier; `sent_ns` shows how late."""
    total, rate = count(spec), spec.parameters["rate_bps"]
    datagram_bits = 8 * spec.parameters["size_bytes"] * SECOND
    head = raw_ip.head(spec) if "protocol" in spec.parameters else b""
    data = bytearray(head + pattern(spec.seed, spec.parameters["size_bytes"]))
    start = len(head)
    sent_ns, column = array("q"), Column()
    put_header, checksum, clock, note, seed = (
        udp.HEADER.pack_into,
        udp.checksum,
        monotonic_ns,
        sent_ns.append,
        spec.seed,
    )
    form = (socket.SOCK_RAW, spec.parameters["protocol"]) if head else (socket.SOCK_DGRAM, 0)
    # Not connected, so that an ICMP error for one datagram does not prevent the next from being sent.
    with socket.socket(spec.family, *form) as client:
        udp.set_dscp(client, spec.parameters.get("dscp", 0))
        target, send = (spec.address, 0 if head else spec.port), client.sendto
        start_ns = owner.start_ns
        for first in range(0, total, _LOOK):
            for number in range(first, min(first + _LOOK, total)):
                due_ns = start_ns + number * datagram_bits // rate
                put_header(data, start, checksum(seed, number), number)
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
    """Record the header and the time of every datagram until the owner stops us, then of those still in the socket.

    Only the header of a datagram is read, and it is decoded at the end. The last line counts the other datagrams:
    `corrupted` with an inverted bit, `strangers` that the client did not send, and `drops` at the full receive buffer.
    """
    arrivals = _Arrivals()
    overflows_before = udp.overflows(spec.family)
    is_raw = "protocol" in spec.parameters
    with raw_ip.Receiver(spec) if is_raw else udp.bound(spec.address, spec.port) as server:
        tcp.wake(server)
        if spec.parameters.get("kernel_times"):
            read_lag(server)  # enables timestamps
        owner.emit("listening")
        _receive(server, spec, owner, arrivals)
        dropped = udp.own_drops(server) if is_raw else udp.drops(server, overflows_before)
    foreign = udp.Foreign(spec.seed)
    for headers, times_ns in arrivals:
        ours = [
            bool(of_ours and at_ns) for of_ours, at_ns in zip(udp.intact(spec.seed, headers), times_ns, strict=True)
        ]
        seq = array("q", [number for _, number in compress(headers, ours)])
        owner.emit_columns("received", {"seq": seq, "received_ns": array("q", [*compress(times_ns, ours)])})
        for (received_checksum, number), at_ns in compress(zip(headers, times_ns, strict=True), map(not_, ours)):
            foreign.add(received_checksum, number, size_matches=at_ns > 0)
    owner.emit("end", corrupted=foreign.corrupted, strangers=foreign.unrelated, drops=dropped)


class _Arrivals:
    """The headers and times of datagrams, kept on disk except for the last few.

    Attributes:
        headers, times_ns: buffers for the next few, which the receiver fills.
    """

    def __init__(self) -> None:
        self.headers = bytearray(_HEADER_BYTES * _LOOK)
        self.times_ns = array("q", bytes(8 * _LOOK))
        self._headers, self._times_ns = Spool(), Column()

    def keep(self, count: int) -> None:
        """Write the first `count` entries of the buffers to disk."""
        self._headers.write(memoryview(self.headers)[: count * _HEADER_BYTES])
        self._times_ns.extend(self.times_ns[:count])

    def __iter__(self) -> Iterator[tuple[list[tuple[int, int]], array[int]]]:
        """Yield the headers and times in order, in chunks."""
        start = 0
        for times_ns in self._times_ns.parts():
            end = start + len(times_ns)
            yield list(udp.HEADER.iter_unpack(self._headers.read(start * _HEADER_BYTES, end * _HEADER_BYTES))), times_ns
            start = end


def _receive(server: socket.socket, spec: Spec, owner: Owner, arrivals: _Arrivals) -> None:
    """Record arrivals; the time is 0 for a datagram that does not have the workload's size.

    With the parameter `kernel_times` it is when the kernel received the datagram, which costs a system call to ask.
    """
    size, receive = spec.parameters["size_bytes"], server.recv_into
    clock: Callable[[], int] = partial(arrival_ns, server) if spec.parameters.get("kernel_times") else monotonic_ns
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
