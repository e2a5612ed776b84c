"""Clients and servers of kinds as real endpoint processes on loopback."""

import socket

from tests.unit.endpoint.conftest import port, start, start_raw

__all__ = ["may_open_raw_sockets", "port", "start", "start_raw"]


def may_open_raw_sockets() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True
