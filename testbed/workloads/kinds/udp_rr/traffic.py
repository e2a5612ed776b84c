"""udp-rr: the client repeatedly sends a request and waits for its reply, up to a timeout."""

from __future__ import annotations

import socket
from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, udp
from testbed.endpoint.pattern import pattern
from testbed.endpoint.udp import HEADER

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_LONGEST = 1 << 16
_WAKE_S = 0.1


def client(spec: Spec, owner: Owner) -> None:
    """Send `count` requests, each when the one before was answered or `timeout_ns` has passed.

    Every reply is recorded, also late and duplicate ones, which the summary recognises by their times.
    """
    total = spec.parameters["count"]
    request = bytearray(pattern(spec.seed, spec.parameters["size_bytes"]))
    sent_ns = array("q")
    with socket.socket(spec.family, socket.SOCK_DGRAM) as client:
        replies = _Replies(client, spec, owner)
        for number in range(total):
            HEADER.pack_into(request, 0, udp.checksum(spec.seed, number), number)
            sent_ns.append(monotonic_ns())
            client.sendto(request, spec.destination)
            replies.wait(number, sent_ns[-1] + spec.parameters["timeout_ns"])
            owner.progress((number + 1) / total)
    owner.emit_sent(sent_ns)
    owner.emit_columns("received", {"seq": replies.seq, "received_ns": replies.received_ns})
    owner.emit("end", corrupted=replies.foreign.corrupted, strangers=replies.foreign.unrelated)


class _Replies:
    """Receives replies and records them.

    Attributes:
        seq, received_ns: the number and the time of each reply.
        foreign: the count of datagrams that are no replies.
    """

    def __init__(self, client: socket.socket, spec: Spec, owner: Owner) -> None:
        self.seq = array("q")
        self.received_ns = array("q")
        self.foreign = udp.Foreign(spec.seed)
        self._client = client
        self._spec = spec
        self._owner = owner
        self._data = bytearray(_LONGEST)

    def wait(self, number: int, until_ns: int) -> None:
        """Record arriving replies until request `number` is answered, or the time is `until_ns` and none is left.

        Raises:
            Stopped: the owner wants the endpoint to stop.
        """
        while True:
            self._owner.check()
            left = max(0, until_ns - monotonic_ns())
            self._client.settimeout(min(left / 1e9, _WAKE_S))
            try:
                length = self._client.recv_into(self._data)
            except (TimeoutError, BlockingIOError):
                if not left:
                    return
                self._owner.progress(number / self._spec.parameters["count"])
                continue
            now = monotonic_ns()
            received_checksum, seq = udp.HEADER.unpack_from(self._data)
            size_matches = length == self._spec.parameters["reply_bytes"]
            if not size_matches or udp.checksum(self._spec.seed, seq) != received_checksum or seq > number:
                self.foreign.add(received_checksum, seq, size_matches=size_matches)
                continue
            self.seq.append(seq)
            self.received_ns.append(now)
            if seq == number:
                return


def server(spec: Spec, owner: Owner) -> None:
    """Answer every request with a datagram that has the same header, until the owner stops us."""
    reply = bytearray(pattern(spec.seed, spec.parameters["reply_bytes"]))
    data = bytearray(_LONGEST)
    foreign = udp.Foreign(spec.seed)
    overflows_before = udp.overflows(spec.family)
    with udp.bound(spec.address, spec.port) as server:
        tcp.wake(server)
        owner.emit("listening")
        while not owner.stopping:
            try:
                length, peer = server.recvfrom_into(data)
            except BlockingIOError:
                continue
            received_checksum, number = HEADER.unpack_from(data)
            size_matches = length == spec.parameters["size_bytes"]
            if not size_matches or udp.checksum(spec.seed, number) != received_checksum:
                foreign.add(received_checksum, number, size_matches=size_matches)
                continue
            reply[: HEADER.size] = data[: HEADER.size]
            server.sendto(reply, peer)
        owner.emit(
            "end", corrupted=foreign.corrupted, strangers=foreign.unrelated, drops=udp.drops(server, overflows_before)
        )
