"""Send packets through a packet socket, many per system call."""

from __future__ import annotations

import ctypes
import itertools
from array import array
from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.mmsg import MmsgHeader, Vector, address_of
from testbed.engines.userspace.segments import COMPLETE, FRAME_BYTES_MOST, VIRTIO, Unsummed

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH: Final = 64
"""The most packets that one call sends."""

_BATCH_BYTES: Final = 2 * (FRAME_BYTES_MOST + VIRTIO.size)
"""The most bytes that one call sends; more than the largest packet."""

_MSG_DONTWAIT: Final = 0x40

_sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class PacketSender:
    """Sends packets through packet sockets with PACKET_VNET_HDR, by sendmmsg(2). One serves all links of a worker."""

    def __init__(self) -> None:
        self._data = memoryview(bytearray(_BATCH_BYTES))
        self._data_at = address_of(self._data)
        self._vectors = array("L", bytes(_BATCH * ctypes.sizeof(Vector)))  # addresses and sizes, in turn
        vectors_at, _ = self._vectors.buffer_info()
        self._messages = (MmsgHeader * _BATCH)()
        for index, message in enumerate(self._messages):
            message.header.vectors = vectors_at + index * ctypes.sizeof(Vector)
            message.header.vector_count = 1
        self._messages_at = ctypes.addressof(self._messages)

    def send(self, descriptor: int, packets: Sequence[bytes]) -> int:
        """Send packets one after the other; return how many were refused: the port is down, or its queue is full."""
        refused = 0
        start = size = 0
        for stop, packet in enumerate(packets):
            size += VIRTIO.size + len(packet)
            if stop - start == _BATCH or size > _BATCH_BYTES:
                refused += self._send(descriptor, packets[start:stop])
                start, size = stop, VIRTIO.size + len(packet)
        return refused + self._send(descriptor, packets[start:])

    def _send(self, descriptor: int, packets: Sequence[bytes]) -> int:
        """Send packets that fit into one call."""
        parts: list[bytes] = []
        for packet in packets:
            parts += (packet.header if isinstance(packet, Unsummed) else COMPLETE, packet)
        data = b"".join(parts)
        self._data[: len(data)] = data
        sizes = [VIRTIO.size + len(packet) for packet in packets]
        count = len(sizes)
        self._vectors[: 2 * count : 2] = array("L", itertools.accumulate(sizes[:-1], initial=self._data_at))
        self._vectors[1 : 2 * count : 2] = array("L", sizes)
        done = refused = 0
        while done < count:
            at = self._messages_at + done * ctypes.sizeof(MmsgHeader)
            sent = _sendmmsg(descriptor, at, count - done, _MSG_DONTWAIT)
            if sent <= 0:  # the first of them is refused; the kernel says so of later ones in the next call
                refused += 1
            done += max(sent, 1)
        return refused
