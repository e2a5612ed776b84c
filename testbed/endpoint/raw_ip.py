"""Datagrams as packets of any IP protocol and ports, for checks of links that UDP to a free port does not cross.

They are sent and received by raw sockets (raw(7)), so that the ports may be in use in the nodes. Each begins with eight
bytes in place of the protocol's header. After the raw socket has got its copy, the kernel drops what has such a header:
the length is 0 in UDP (and the checksum, which IPv6 needs), and the checksum wrong in TCP and ICMP; of ICMPv6 the type
is unknown. So nothing answers. A raw socket's data begin with the IP header in IPv4, and behind it in IPv6.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING

from testbed.endpoint import udp

if TYPE_CHECKING:
    from testbed.endpoint.spec import Spec

_WITH_PORTS = frozenset({6, 17, 33, 132, 136})  # as `testbed.matching` has them: TCP, UDP, DCCP, SCTP, UDP-Lite
_PORTS = struct.Struct("!HH")
_HEADER_LENGTH, _WORD = 0x0F, 4
_SO_ATTACH_FILTER = 26
_PACKET_BYTES = 1 << 16

# linux/filter.h: the accumulator is compared with a word behind the IP header, whose length is in the index register
_LOAD_HEADER_LENGTH, _LOAD_NO_LENGTH, _LOAD_WORD, _IF_EQUAL, _RETURN = 0xB1, 0x01, 0x40, 0x15, 0x06


def head(spec: Spec) -> bytes:
    """Return what a packet begins with behind its IP header: 8 bytes, as many as UDP's header has.

    In protocols without ports, the ports are where ICMP has its identifier.
    """
    ports = _PORTS.pack(spec.parameters["source_port"], spec.port)
    return ports + bytes(4) if spec.parameters["protocol"] in _WITH_PORTS else bytes(4) + ports


class Receiver(socket.socket):
    """A raw socket that receives a spec's packets only, and returns of them what a UDP socket would."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.family, socket.SOCK_RAW, spec.parameters["protocol"])
        self._head = head(spec)
        self._ports_at = 0 if spec.parameters["protocol"] in _WITH_PORTS else 4
        self._packet = bytearray(_PACKET_BYTES)
        udp.enlarge(self)
        self.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, self._filter())
        self.bind((spec.address, 0))

    def recv_into(self, buffer: memoryview, size: int, flags: int) -> int:  # type: ignore[override]
        """Receive the start of a datagram into a buffer and return the length of the whole datagram.

        Raises:
            BlockingIOError: there is none, or none for a while.
        """
        while True:
            length = super().recv_into(self._packet, 0, flags)
            start = _WORD * (self._packet[0] & _HEADER_LENGTH) if self.family == socket.AF_INET else 0
            data = start + len(self._head)
            # What is before the ports of protocols without ports may differ: the kernel sets the checksum of ICMPv6.
            if self._packet[start + self._ports_at : data] == self._head[self._ports_at :]:
                buffer[:] = self._packet[data : data + size]
                return length - data

    def _filter(self) -> bytes:
        """Return a `struct sock_fprog` that passes packets with the spec's ports."""
        word = int.from_bytes(self._head[self._ports_at : self._ports_at + 4], "big")
        program = [
            (_LOAD_HEADER_LENGTH if self.family == socket.AF_INET else _LOAD_NO_LENGTH, 0, 0, 0),
            (_LOAD_WORD, 0, 0, self._ports_at),
            (_IF_EQUAL, 0, 1, word),
            (_RETURN, 0, 0, _PACKET_BYTES),
            (_RETURN, 0, 0, 0),
        ]
        self._program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
        return struct.pack("@HP", len(program), ctypes.addressof(self._program))
