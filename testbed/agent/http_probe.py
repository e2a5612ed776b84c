"""Ask an HTTP server of a node for its status, from inside the node's network."""

from __future__ import annotations

import asyncio
import http.client
import socket

from testbed.linux import namespaces

_ANSWER_SECONDS = 2


async def status_of(network: int, address: str, port: int, path: str) -> int:
    """Return the status with which a server answers a GET; 0 if it does not answer within two seconds.

    Args:
        network: file descriptor of the network namespace to ask from.
        address: of the server, IPv4.
        port: of the server, TCP.
        path: that is asked for.
    """
    with namespaces.inside(network):
        channel = socket.socket()  # which stays in that namespace
    return await asyncio.to_thread(_status, channel, address, port, path)


def _status(channel: socket.socket, address: str, port: int, path: str) -> int:
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
