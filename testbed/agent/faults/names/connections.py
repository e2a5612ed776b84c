"""Connections as the kernel tracks them in a network namespace: where a packet was sent before it was redirected."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from testbed.agent.netlink import REQUEST, attribute, attributes
from testbed.linux import namespaces

_NETFILTER = 12  # NETLINK_NETFILTER
_CONNTRACK = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE, _GET_STATISTICS, _DUMP = 1, 2, 5, 0x300
_ERROR, _DONE = 2, 3
_COUNT = 1  # CTA_STATS_GLOBAL_ENTRIES
_ORIGINAL, _REPLY = 1, 2  # CTA_TUPLE_*, include/uapi/linux/netfilter/nfnetlink_conntrack.h
_IP, _PROTOCOL = 1, 2
_SOURCE, _DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_ANY = 0
_FAMILIES = {_ANY: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_GENERAL = struct.Struct("!BBH")
_RECEIVE_BYTES = 1 << 16

Endpoint = tuple[str, int]
"""Address and port."""


class TrackedConnections:
    """The connections of a network namespace."""

    def __init__(self, network: int) -> None:
        """`network` is a file descriptor of the namespace."""
        with namespaces.inside(network):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def sent_to(self, source: Endpoint, redirected: Endpoint) -> Endpoint | None:
        """Return where UDP packets were sent that arrive elsewhere; None if the kernel does not know.

        Args:
            source: of the packets.
            redirected: where they arrive.
        """
        reply = _tuple(redirected, source)
        for body in self._ask(_GET, 0, _version(source), attribute(_REPLY | _NESTED, reply)):
            return _destination(attributes(body)[_ORIGINAL])
        return None

    def forget(self, port: int) -> None:
        """Make the kernel forget all connections to a port, so that it decides anew where their packets go.

        To list them takes 10 ms even if there are few, because the kernel looks through a table of all namespaces.
        """
        if not self._may_be_some():
            return
        for body in self._ask(_GET, _DUMP, _ANY, b""):
            original = attributes(body).get(_ORIGINAL)
            if original and (destination := _destination(original))[1] == port:
                self._ask(_DELETE, 0, _version(destination), attribute(_ORIGINAL | _NESTED, original))

    def _may_be_some(self) -> bool:
        """Whether the namespace may have connections: it has some, or the kernel does not say."""
        counts = [attributes(body).get(_COUNT) for body in self._ask(_GET_STATISTICS, 0, _ANY, b"")]
        return not counts or any(count is None or any(count) for count in counts)

    def _ask(self, what: int, flags: int, version: int, body: bytes) -> list[bytes]:
        """Make a request, and return the attributes of each answer; none if the kernel refuses."""
        general = _GENERAL.pack(_FAMILIES[version], 0, 0)
        length = _HEADER.size + len(general) + len(body)
        acknowledged = 0 if flags else 4  # NLM_F_ACK
        header = _HEADER.pack(length, _CONNTRACK | what, REQUEST | flags | acknowledged, 0, 0)
        self._socket.send(header + general + body)
        found: list[bytes] = []
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            while len(data) >= _HEADER.size:
                size, kind, *_ = _HEADER.unpack_from(data)
                if kind in (_ERROR, _DONE):
                    return found
                found.append(data[_HEADER.size + _GENERAL.size : size])
                data = data[size + -size % 4 :]


def _version(endpoint: Endpoint) -> int:
    return ip_address(endpoint[0]).version


def _tuple(source: Endpoint, destination: Endpoint) -> bytes:
    """Encode a tuple of UDP."""
    version = _version(source)
    addresses = attribute(_SOURCE[version], ip_address(source[0]).packed)
    addresses += attribute(_DESTINATION[version], ip_address(destination[0]).packed)
    protocol = attribute(_NUMBER, bytes([socket.IPPROTO_UDP]))
    protocol += attribute(_SOURCE_PORT, struct.pack("!H", source[1]))
    protocol += attribute(_DESTINATION_PORT, struct.pack("!H", destination[1]))
    return attribute(_IP | _NESTED, addresses) + attribute(_PROTOCOL | _NESTED, protocol)


def _destination(encoded: bytes) -> Endpoint:
    """Return where the packets of a tuple go; port 0 where the protocol has none."""
    parts = attributes(encoded)
    addresses, protocol = attributes(parts[_IP]), attributes(parts[_PROTOCOL])
    packed = addresses.get(_DESTINATION[4]) or addresses[_DESTINATION[6]]
    return str(ip_address(packed)), int.from_bytes(protocol.get(_DESTINATION_PORT, b""), "big")
