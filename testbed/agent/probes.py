"""Finds out from inside a node's network whether addresses and servers answer."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.endpoint.spec import family_of
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANSWER_SECONDS = 2
_LOCAL_CONNECT_SECONDS = 0.2
_REACH_SECONDS = 2.5  # two SYNs: TCP repeats the first one after a second (RFC 6298, 2.1)
_DISCARD_PORT = 9  # RFC 863
_OWN_NETWORK = Path("/proc/thread-self/net")
_UNCONNECTED = "07"  # of a UDP socket in /proc: TCP_CLOSE of the kernel's net/tcp_states.h


def accepts(network: int, address: str, port: int) -> bool:
    """Return whether a TCP port accepts a connection, asked from a network namespace."""
    with namespaces.inside(network), socket.socket(family_of(address)) as probe:
        probe.settimeout(_LOCAL_CONNECT_SECONDS)
        return probe.connect_ex((address, port)) == 0


def reaches(network: int, address: str) -> bool:
    """Return whether packets from a network namespace reach an address and come back."""
    with namespaces.inside(network), socket.socket(family_of(address)) as probe:
        probe.settimeout(_REACH_SECONDS)
        # A port on which nothing listens answers too, with RST (RFC 9293, 3.10.7.1).
        return probe.connect_ex((address, _DISCARD_PORT)) in (0, errno.ECONNREFUSED)


def udp_bound(network: int, port: int) -> tuple[str, ...]:
    """Return the addresses to which a UDP port is bound in a network namespace, `0.0.0.0` and `::` for all.

    Sockets that are connected do not count: they receive from their peer only.
    """
    with namespaces.inside(network):
        files = [path for name in ("udp", "udp6") if (path := _OWN_NETWORK / name).exists()]  # udp6 with IPv6 only
        texts = [path.read_text("ascii") for path in files]
    found = (address for text in texts for address, number in _unconnected(text) if number == port)
    return tuple(dict.fromkeys(found))


def _unconnected(text: str) -> Iterator[tuple[str, int]]:
    """Yield local address and port of each socket of /proc/net/udp or udp6 that is not connected."""
    for line in text.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == _UNCONNECTED:
            address, _, port = local.partition(":")
            yield _address(address), int(port, 16)


def _address(text: str) -> str:
    """Return an address of /proc/net/udp or udp6: words of 32 bits in this machine's order of bytes."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    address = ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


async def http_status(network: int, address: str, port: int, path: str) -> int:
    """Return the status with which a server answers a GET; 0 if it does not answer within two seconds.

    Args:
        network: file descriptor of the network namespace to ask from.
        address: of the server.
        port: of the server, TCP.
        path: that is asked for.
    """
    with namespaces.inside(network):
        channel = socket.socket(family_of(address))  # which stays in that namespace
    return await asyncio.to_thread(_status, channel, address, port, path)


def _status(channel: socket.socket, address: str, port: int, path: str) -> int:
    import http.client  # noqa: PLC0415  # few agents need it

    connection = http.client.HTTPConnection(address, port)
    connection.sock = channel
    channel.settimeout(_ANSWER_SECONDS)
    try:
        channel.connect((address, port))
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
