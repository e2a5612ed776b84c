"""The header of UDP workloads' datagrams, and the receive buffer of their sockets."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.endpoint.spec import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = struct.Struct("!QI")
"""The header of a datagram: the checksum of its number, and the number itself."""

_SPREAD = 0x9E3779B97F4A7C15  # odd, 2^64 by the golden ratio
_MASK = (1 << 64) - 1
_NUMBER_BITS = 32
_RECEIVE_BUFFER = 1 << 25
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_COUNTERS = Path("/proc/thread-self/net")


def checksum(seed: int, number: int) -> int:
    """Return the checksum of a datagram's number, which depends on the workload's seed.

    The number is spread over 64 bits by multiplicative hashing (D. E. Knuth, The Art of Computer Programming 3, 6.4).
    """
    return seed ^ (number * _SPREAD & _MASK)


def intact(seed: int, headers: Iterable[tuple[int, int]]) -> list[bool]:
    """Return for each header, a checksum and a number, whether the checksum is that of the number."""
    return [seed ^ (number * _SPREAD & _MASK) == received_checksum for received_checksum, number in headers]


class Foreign:
    """Counts datagrams that are not as the workload sent them.

    Attributes:
        corrupted: the number of datagrams with one inverted bit in the header, as a link with bit errors makes them.
        unrelated: the number of all others, which the workload did not send.
    """

    def __init__(self, seed: int) -> None:
        self.corrupted = self.unrelated = 0
        self._seed = seed

    def add(self, received_checksum: int, number: int, *, size_matches: bool) -> None:
        """Count a datagram by its header and by whether its size is the workload's."""
        if size_matches and self._is_one_bit_off(received_checksum, number):
            self.corrupted += 1
        else:
            self.unrelated += 1

    def _is_one_bit_off(self, received_checksum: int, number: int) -> bool:
        if (checksum(self._seed, number) ^ received_checksum).bit_count() == 1:
            return True
        return any(checksum(self._seed, number ^ 1 << bit) == received_checksum for bit in range(_NUMBER_BITS))


def bound(address: str, port: int) -> socket.socket:
    """Return a UDP socket bound to an address, with a receive buffer as large as the kernel allows."""
    server = socket.socket(family_of(address), socket.SOCK_DGRAM)
    try:
        enlarge(server)
        server.bind((address, port))
    except BaseException:
        server.close()
        raise
    return server


def set_dscp(sender: socket.socket, dscp: int) -> None:
    """Set the DSCP of the packets that a socket sends (RFC 2474)."""
    if sender.family == socket.AF_INET6:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def enlarge(server: socket.socket) -> None:
    """Make the receive buffer as large as the kernel allows: only root may exceed `net.core.rmem_max`."""
    try:
        server.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def overflows(family: socket.AddressFamily | int) -> int:
    """Return how many datagrams of a family were dropped at full receive buffers in this network namespace so far.

    They are `RcvbufErrors` and, from Linux 5.11 on, `MemErrors`: of IPv4 in /proc/net/snmp (net/ipv4/proc.c), of IPv6
    in /proc/net/snmp6 (net/ipv6/proc.c), where each has a line and the prefix `Udp6`.
    """
    if family == socket.AF_INET6:
        counters = dict(line.split() for line in (_COUNTERS / "snmp6").read_text().splitlines())
        return int(counters["Udp6RcvbufErrors"]) + int(counters.get("Udp6MemErrors", 0))
    lines = (_COUNTERS / "snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp: "))
    counters = dict(zip(names, values, strict=True))
    return int(counters["RcvbufErrors"]) + int(counters.get("MemErrors", 0))


def drops(server: socket.socket, overflows_before: int) -> int:
    """Return how many datagrams were dropped because the socket's receive buffer was full.

    The socket's own counter (SK_MEMINFO_DROPS of linux/sock_diag.h) also counts those with a wrong checksum, which the
    link corrupted; the namespace's counter also counts other sockets' datagrams. Neither is less than the number of
    datagrams for which this socket had no room, so the smaller of the two is returned.

    Args:
        server: the socket.
        overflows_before: what `overflows` returned before the first datagram could arrive.
    """
    return min(own_drops(server), overflows(server.family) - overflows_before)


def own_drops(server: socket.socket) -> int:
    """Return how many datagrams a socket's own counter counts as dropped; see `drops`."""
    meminfo = server.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    count: int = struct.unpack_from("=I", meminfo, 4 * _SK_MEMINFO_DROPS)[0]
    return count
