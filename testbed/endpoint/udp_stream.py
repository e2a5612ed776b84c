"""udp-stream: the initiator sends datagrams at a steady rate; the listener notes which arrive, and when."""

from __future__ import annotations

import socket
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, udp
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pacing import SECOND, count, wait_until
from testbed.endpoint.parameters import Integer, Parameters
from testbed.endpoint.pattern import pattern
from testbed.endpoint.udp import DATAGRAM

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

PARAMETERS: Parameters = {"rate_bps": Integer(), "size_bytes": DATAGRAM, "duration_ns": Integer()}

_HEADER_BYTES = udp.HEADER.size

_LOOK = 256  # datagrams between two looks at the owner
_SPARE = 1024


def initiate(spec: Spec, owner: Owner) -> None:
    """Send datagram n when n datagrams' bits are due at the rate, never earlier; how late shows in `sent_ns`."""
    total, rate = count(spec), spec.parameters["rate_bps"]
    datagram_bits = 8 * spec.parameters["size_bytes"] * SECOND
    data = bytearray(pattern(spec.seed, spec.parameters["size_bytes"]))
    sent_ns = memoryview(bytearray(8 * total)).cast("q")
    put_header, clock, seed = udp.HEADER.pack_into, monotonic_ns, spec.seed
    # Not connected: an ICMP error for one datagram must not keep the next from being sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        target, send = (spec.address, spec.port), client.sendto
        start_ns = clock()
        for number in range(total):
            due_ns = start_ns + number * datagram_bits // rate
            put_header(data, 0, seed, number)
            if clock() < due_ns:
                wait_until(due_ns, owner, number / total)
            sent_ns[number] = clock()
            send(data, target)
            if not number % _LOOK:
                owner.check()
                owner.progress(number / total)
    owner.emit_sent(sent_ns)
    owner.emit("end", count=total, start_ns=start_ns)


def listen(spec: Spec, owner: Owner) -> None:
    """Note the header and the time of every datagram until the owner says stop; then what waits in the socket.

    Nothing is read from a datagram but its header, and nothing is decoded before the end. Who does not send our
    datagrams shows in the `strangers` of the last line, and what came too fast for us in `drops`.
    """
    with udp.bound(spec.address, spec.port) as server:
        tcp.wake(server)
        room = 2 * count(spec) + _SPARE  # for duplicates
        headers = bytearray(_HEADER_BYTES * room)
        received_ns = memoryview(bytearray(8 * room)).cast("q")
        owner.emit("listening")
        arrived = _receive(server, spec, owner, headers, received_ns)
        dropped = udp.drops(server)
    seq, at_ns = array("q"), array("q")
    decoded = udp.HEADER.iter_unpack(memoryview(headers)[: arrived * _HEADER_BYTES])
    for (seed, number), time_ns in zip(decoded, received_ns, strict=False):
        if time_ns and seed == spec.seed:
            seq.append(number)
            at_ns.append(time_ns)
    owner.emit_columns("received", {"seq": seq, "received_ns": at_ns})
    owner.emit("end", strangers=arrived - len(seq), drops=dropped)


def _receive(server: socket.socket, spec: Spec, owner: Owner, headers: bytearray, received_ns: memoryview[int]) -> int:
    """Fill `headers` and `received_ns` (0 where the size is not ours); how many datagrams have come."""
    size, room, clock, receive = spec.parameters["size_bytes"], len(received_ns), monotonic_ns, server.recv_into
    view = memoryview(headers)
    arrived = 0
    while arrived < room:
        flags = socket.MSG_TRUNC | (socket.MSG_DONTWAIT if owner.stopping else 0)
        start = arrived * _HEADER_BYTES
        try:
            length = receive(view[start : start + _HEADER_BYTES], _HEADER_BYTES, flags)
        except BlockingIOError:
            if flags & socket.MSG_DONTWAIT:
                return arrived
            continue
        received_ns[arrived] = clock() if length == size else 0
        arrived += 1
    raise EndpointError(
        "too-many-datagrams",
        f"{arrived} datagrams have come; {count(spec)} are sent",
        "does the path send every packet more than twice?",
    )
