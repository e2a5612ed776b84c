"""Finds out from inside a node's network whether addresses and servers answer."""

from __future__ import annotations

import asyncio
import errno
import socket

from testbed.endpoint.spec import family_of
from testbed.linux import namespaces

_ANSWER_SECONDS = 2
_LOCAL_CONNECT_SECONDS = 0.2
_REACH_SECONDS = 2.5  # two SYNs: TCP repeats the first one after a second (RFC 6298, 2.1)
_DISCARD_PORT = 9  # RFC 863


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
