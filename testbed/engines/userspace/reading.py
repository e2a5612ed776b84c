"""Read frames from packet sockets: many per system call, each with its VLAN tags as it was on the wire."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.headers import ETHERNET, network_at
from testbed.engines.userspace.mmsg import MmsgHeader, Vector, address_of
from testbed.engines.userspace.segments import (
    FRAME_BYTES_MOST,
    KINDS,
    VIRTIO,
    NoSegmentsError,
    Packet,
    SegmentTrain,
    packet_of,
)
from testbed.linux import vlan

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH: Final = 32
"""The most frames that one call reads."""

_SIZE: Final = FRAME_BYTES_MOST + 1
"""The room for a frame; one that fills it is too large."""

_TOO_LARGE: Final = bytes(_SIZE)

_STEP: Final = (1 << 16) + 33 * 64
"""From one frame's room to that of the next: no power of two, so that their beginnings share no lines of a cache."""

SPREAD_NS: Final = 500_000
"""How far apart the arrivals of frames may be that count as arrived together."""

_MSG_DONTWAIT: Final = 0x40
_CMSGHDR: Final = ctypes.sizeof(ctypes.c_size_t) + 8
_CONTROL: Final = struct.Struct(f"@{_CMSGHDR + 16 + _CMSGHDR}xI12xHH4x")
"""The control messages of a frame: struct cmsghdr and struct timespec (SO_TIMESTAMPNS, socket(7)); then struct cmsghdr
and, with padding, struct tpacket_auxdata (linux/if_packet.h). Only the status and the tag's TCI and TPID are read."""

_TIME: Final = struct.Struct(f"@{_CMSGHDR}xqq")
"""The arrival of a frame in its control messages: seconds and nanoseconds of the wall clock."""


_LENGTH: Final = struct.Struct(
    f"@{MmsgHeader.length.offset}xI"
    f"{ctypes.sizeof(MmsgHeader) - MmsgHeader.length.offset - ctypes.sizeof(ctypes.c_uint)}x"
)
"""The length in a `MmsgHeader`."""

_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


Arrivals = list[tuple[int, list[Packet]]]
"""Packets that arrived together, and when the kernel had the last of them, ns of the wall clock; in order."""


class FrameReader:
    """Reads frames from packet sockets with PACKET_VNET_HDR, PACKET_AUXDATA (packet(7)) and SO_TIMESTAMPNS (socket(7)).

    It calls recvmmsg(2) by ctypes, because `socket.recvmsg` asks the kernel for the name of the device with each frame.
    One reader, which has room for frames of segmentation offload, serves all links of a worker.
    """

    def __init__(self) -> None:
        self._headers = memoryview(bytearray(BATCH * VIRTIO.size))
        self._frames = memoryview(bytearray(BATCH * _STEP))
        self._controls = memoryview(bytearray(BATCH * _CONTROL.size))
        self._starts = range(0, BATCH * _STEP, _STEP)
        headers_at, frames_at, controls_at = map(address_of, (self._headers, self._frames, self._controls))
        self._vectors = (Vector * (2 * BATCH))()
        messages = (MmsgHeader * BATCH)()
        for index, message in enumerate(messages):
            self._vectors[2 * index] = Vector(headers_at + index * VIRTIO.size, VIRTIO.size)
            self._vectors[2 * index + 1] = Vector(frames_at + self._starts[index], _SIZE)
            message.header.vectors = ctypes.addressof(self._vectors) + 2 * index * ctypes.sizeof(Vector)
            message.header.vector_count = 2
            message.header.control = controls_at + index * _CONTROL.size
            message.header.control_size = _CONTROL.size
        self._template = bytes(messages)  # the kernel overwrites some of it
        self._messages = memoryview(bytearray(self._template))
        self._messages_at = address_of(self._messages)
        self._overwritten = 0  # bytes of the messages

    def read(self, descriptor: int, mtu: int) -> tuple[Arrivals, int, int]:
        """Return the packets in the waiting frames, of which it reads at most `BATCH`.

        After a while without a processor, a reader finds frames that arrived far apart: they keep their own times.

        Args:
            descriptor: of the packet socket.
            mtu: bytes of the largest IP packet.

        Returns:
            The packets; the number of frames read; the number of those that were larger than the MTU, or several
            packets that can't be told apart.

        Raises:
            OSError: the device is gone or down; BlockingIOError if no frame waits.
        """
        self._messages[: self._overwritten] = self._template[: self._overwritten]
        count = _recvmmsg(descriptor, self._messages_at, BATCH, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number == errno.EINVAL:  # virtio_net_hdr_from_skb has no type for the frame, which is lost
                return [], 1, 1
            raise OSError(number, os.strerror(number))
        self._overwritten = count * _LENGTH.size
        if count == 1 and (packet := self._plain(mtu)) is not None:
            return [(self._arrived_ns(0), [packet])], 1, 0
        lengths = [length - VIRTIO.size for (length,) in _LENGTH.iter_unpack(self._messages[: count * _LENGTH.size])]
        packets = self._packets(count, lengths)
        last_ns = self._arrived_ns(count - 1)
        if last_ns - self._arrived_ns(0) <= SPREAD_NS:
            arrivals = [(last_ns, packets)]
        else:
            arrivals = _together([self._arrived_ns(place) for place in range(count)], packets)
        if max(lengths) <= mtu + ETHERNET:
            return arrivals, count, 0
        arrivals = [(arrived_ns, [each for each in some if _fits(each, mtu)]) for arrived_ns, some in arrivals]
        return arrivals, count, count - sum(len(some) for _, some in arrivals)

    def _plain(self, mtu: int) -> bytes | None:
        """Return the first frame that was read if it is a plain packet, no larger than the MTU; None otherwise.

        On an idle link, whose code has left the processor's caches, less code is sooner done.
        """
        (length,) = _LENGTH.unpack_from(self._messages)
        (status, _, _) = _CONTROL.unpack_from(self._controls)
        kind = KINDS.get(bytes(self._headers[: VIRTIO.size]))
        if not kind or vlan.is_tagged(status) or length > VIRTIO.size + mtu + ETHERNET:
            return None
        return kind(self._frames[: length - VIRTIO.size])

    def _packets(self, count: int, lengths: list[int]) -> list[Packet]:
        """Return what was read, `_TOO_LARGE` and its length instead of frames whose packets can't be told apart."""
        frames = self._frames
        headers = bytes(self._headers[: count * VIRTIO.size])
        first = headers[: VIRTIO.size]
        kind = KINDS.get(first)
        tags = list(_CONTROL.iter_unpack(self._controls[: count * _CONTROL.size]))
        if kind and headers == first * count and not any(map(vlan.is_tagged, {status for status, _, _ in tags})):
            return [kind(frames[at : at + length]) for at, length in zip(self._starts, lengths, strict=False)]
        packets: list[Packet] = []
        for place, (at, length, tag) in enumerate(zip(self._starts, lengths, tags, strict=False)):
            header = headers[place * VIRTIO.size : (place + 1) * VIRTIO.size]
            frame = frames[at : at + length]
            kind = KINDS.get(header)
            if kind and not vlan.is_tagged(tag[0]):
                packets.append(kind(frame))
                continue
            try:
                packets.append(packet_of(header, bytes(frame), tag))
            except NoSegmentsError:
                packets.append(_TOO_LARGE)
                lengths[place] = _SIZE
        return packets

    def _arrived_ns(self, place: int) -> int:
        seconds, nanoseconds = _TIME.unpack_from(self._controls, place * _CONTROL.size)
        return int(seconds) * 10**9 + int(nanoseconds)


def _fits(packet: Packet, mtu: int) -> bool:
    """Return whether each packet is at most as large as the MTU."""
    if type(packet) is SegmentTrain:
        return packet.source.payload + packet.source.segment <= mtu + packet.source.network
    return len(packet) <= mtu + network_at(packet)


def _together(arrived_ns: Sequence[int], packets: Sequence[Packet]) -> Arrivals:
    """Part frames into those that arrived within `SPREAD_NS`."""
    arrivals: Arrivals = []
    first_ns = None
    for at_ns, packet in zip(arrived_ns, packets, strict=True):
        if first_ns is not None and at_ns - first_ns <= SPREAD_NS:
            arrivals[-1][1].append(packet)
            arrivals[-1] = (at_ns, arrivals[-1][1])
        else:
            first_ns = at_ns
            arrivals.append((at_ns, [packet]))
    return arrivals
