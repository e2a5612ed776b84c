"""What the UDP kinds share: a datagram's header, and the receiver's buffer."""

from __future__ import annotations

import socket
import struct

from testbed.endpoint.parameters import Integer

HEADER = struct.Struct("!QI")
"""The workload's seed and the datagram's sequence number."""

DATAGRAM = Integer(least=HEADER.size, most=65507)
"""Bytes of payload: at least the header, so that strangers show."""

_RECEIVE_BUFFER = 1 << 25
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8


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


def drops(server: socket.socket) -> int:
    """Datagrams that reached the socket and found its buffer full (SK_MEMINFO_DROPS of linux/sock_diag.h)."""
    count: int = struct.unpack_from("=I", server.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64), 4 * _SK_MEMINFO_DROPS)[
        0
    ]
    return count
