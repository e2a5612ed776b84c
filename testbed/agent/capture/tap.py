"""A packet socket that sees all frames of an interface, whichever way they go, through a ring in shared memory.

The kernel stamps frames and puts them into the ring's blocks (TPACKET_V3; Documentation/networking/packet_mmap.rst,
include/uapi/linux/if_packet.h). It hands over whole blocks, so a frame costs next to nothing until it is read, and a
burst has the whole ring to wait in.
"""

from __future__ import annotations

import ctypes
import mmap
import select
import socket
import struct
from typing import TYPE_CHECKING, Self

from testbed.agent.capture import pcap
from testbed.linux import vlan

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 1 << 18
"""Bytes of a block; more than the largest frame, which segmentation offload makes as long as an IP packet can be."""

_BLOCKS = 64
_LEAST_FRAME_BYTES = 1 << 7  # the kernel wants it told, and does not use it
_RETIRE_MS = 100
"""After which a block is handed over that is not full."""

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V3 = 2
_TP_STATUS_KERNEL = 0
_TP_STATUS_USER = 1
_SO_ATTACH_FILTER = 26
_BPF_RETURN = 0x06
_ETH_P_ALL = 3

_BLOCK = struct.Struct("=8xIIII")  # struct tpacket_block_desc: status, packets, offset of the first, length
_STATUS_AT = 8
_FRAME = struct.Struct("=IIIIIIH6xIH")
"""struct tpacket3_hdr: next, seconds, nanoseconds, captured, length, status, MAC at, TCI and TPID of a VLAN tag."""
_STATISTICS = struct.Struct("=III")  # struct tpacket_stats_v3: seen, of those dropped, times that the ring was full
_DRAIN_MS = 10 * _RETIRE_MS


class Tap:
    """The frames of an interface of the current network namespace, from now on.

    A frame that is sent is seen when it leaves for the driver, one that is received when the network stack takes it in.

    Args:
        interface: its name.
        snap_bytes: what is kept of a frame.

    Attributes:
        dropped: frames for which the ring had no room; known after `last_blocks`.

    Raises:
        OSError: no such interface, no CAP_NET_RAW in the namespace, or no memory for the ring.
    """

    def __init__(self, interface: str, snap_bytes: int) -> None:
        self.dropped = 0
        self._current = 0
        self._read = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            frames = _BLOCKS * BLOCK_BYTES // _LEAST_FRAME_BYTES
            ring = struct.pack("=IIIIIII", BLOCK_BYTES, _BLOCKS, _LEAST_FRAME_BYTES, frames, _RETIRE_MS, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
            self._keep(snap_bytes)
            self._ring = memoryview(mmap.mmap(self._socket.fileno(), _BLOCKS * BLOCK_BYTES))
            self._socket.bind((interface, _ETH_P_ALL))
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor that can be read when there are blocks."""
        return self._socket.fileno()

    def blocks(self) -> Iterator[tuple[memoryview, int]]:
        """Yield the blocks that are there, with their numbers of frames; each is valid until the next."""
        while True:
            begin = self._current * BLOCK_BYTES
            status, count, _, length = _BLOCK.unpack_from(self._ring, begin)
            if not status & _TP_STATUS_USER:
                return
            yield self._ring[begin : begin + length], count
            self._read += count
            struct.pack_into("=I", self._ring, begin + _STATUS_AT, _TP_STATUS_KERNEL)
            self._current = (self._current + 1) % _BLOCKS

    def last_blocks(self) -> Iterator[tuple[memoryview, int]]:
        """Stop capturing, and yield the blocks of the frames until now.

        Raises:
            OSError: the kernel does not hand over all of them.
        """
        self._keep(0)
        seen, self.dropped, _ = _STATISTICS.unpack(
            self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        )
        kept = seen - self.dropped
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        yield from self.blocks()
        while self._read < kept:
            if not poll.poll(_DRAIN_MS):
                raise TimeoutError(f"of {kept} packets that the kernel captured it handed {self._read} over")
            yield from self.blocks()

    def _keep(self, size: int) -> None:
        """Set how many bytes the kernel keeps of each frame; with 0 it keeps no frame."""
        program = ctypes.create_string_buffer(struct.pack("=HBBI", _BPF_RETURN, 0, 0, size))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def records(block: bytes) -> Iterator[bytes]:
    """Yield the frames of a block as records of a pcap file."""
    _, count, at, _ = _BLOCK.unpack_from(block)
    for _ in range(count):
        following, seconds, nanoseconds, captured, length, status, mac_at, tci, tpid = _FRAME.unpack_from(block, at)
        begin = at + mac_at
        frame = vlan.with_tag(block[begin : begin + captured], status, tci, tpid)
        yield pcap.record(seconds, nanoseconds, frame, length + len(frame) - captured)
        at += following
