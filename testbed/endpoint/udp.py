"""What the UDP kinds share: a datagram's header, and the receiver's buffer."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = struct.Struct("!QI")
"""A datagram's seal and its sequence number."""

_SPREAD = 0x9E3779B97F4A7C15  # odd, 2^64 by the golden ratio
_MASK = (1 << 64) - 1
_NUMBER_BITS = 32
_RECEIVE_BUFFER = 1 << 25
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_SNMP = Path("/proc/thread-self/net/snmp")


def seal(seed: int, number: int) -> int:
    """The workload's seed and a datagram's number in one: what does not fit the number shows that either was changed.

    The number is spread over 64 bits by multiplicative hashing (D. E. Knuth, The Art of Computer Programming 3, 6.4).
    """
    return seed ^ (number * _SPREAD & _MASK)


def intact(seed: int, headers: Iterable[tuple[int, int]]) -> list[bool]:
    """Of each header, a seal and a number, whether they belong together."""
    return [seed ^ (number * _SPREAD & _MASK) == sealed for sealed, number in headers]


class Foreign:
    """Datagrams that are none of the workload's as they were sent.

    Attributes:
        corrupted: those that were, but for one bit of the header, which is what a link with bit errors inverts.
        strangers: those that never were.
    """

    def __init__(self, seed: int) -> None:
        self.corrupted = self.strangers = 0
        self._seed = seed

    def add(self, sealed: int, number: int, *, of_our_size: bool) -> None:
        """Count one by its header."""
        if of_our_size and self._is_one_bit_off(sealed, number):
            self.corrupted += 1
        else:
            self.strangers += 1

    def _is_one_bit_off(self, sealed: int, number: int) -> bool:
        if (seal(self._seed, number) ^ sealed).bit_count() == 1:
            return True
        return any(seal(self._seed, number ^ 1 << bit) == sealed for bit in range(_NUMBER_BITS))


def bound(address: str, port: int) -> socket.socket:
    """A socket bound to an address, with a receive buffer as large as the kernel lets us have."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        enlarge(server)
        server.bind((address, port))
    except BaseException:
        server.close()
        raise
    return server


def enlarge(server: socket.socket) -> None:
    """Make the receive buffer as large as the kernel lets us, beyond `net.core.rmem_max` only as the machine's root."""
    try:
        server.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def overflows() -> int:
    """Datagrams that found no room in the receive buffer of any socket in this network namespace, since it exists.

    They are `RcvbufErrors` and, from Linux 5.11 on, `MemErrors` in /proc/net/snmp (net/ipv4/proc.c).
    """
    names, values = (line.split() for line in _SNMP.read_text().splitlines() if line.startswith("Udp: "))
    counters = dict(zip(names, values, strict=True))
    return int(counters["RcvbufErrors"]) + int(counters.get("MemErrors", 0))


def drops(server: socket.socket, overflows_before: int) -> int:
    """Datagrams that reached the socket and found its receive buffer full.

    The socket's own counter (SK_MEMINFO_DROPS of linux/sock_diag.h) also counts those with a wrong checksum, which are
    the link's doing; the namespace's counter also counts other sockets' datagrams. The smaller of the two is never less
    than what this socket had no room for.

    Args:
        server: the socket.
        overflows_before: what `overflows` returned before the first datagram could arrive.
    """
    meminfo = server.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    own: int = struct.unpack_from("=I", meminfo, 4 * _SK_MEMINFO_DROPS)[0]
    return min(own, overflows() - overflows_before)
