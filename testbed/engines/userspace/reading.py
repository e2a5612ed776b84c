"""Read frames from a packet socket: many per system call, each with its VLAN tags as it was on the wire."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.headers import ETHERNET, network_at
from testbed.linux import vlan

if TYPE_CHECKING:
    import socket

BATCH: Final = 32
"""The most frames that one call reads."""

_TAGS_INSIDE: Final = 2
"""The number of VLAN tags that a frame may have besides the one that the kernel removes."""

SPREAD_NS: Final = 500_000
"""How far apart the arrivals of frames may be that count as arrived together."""

_MSG_DONTWAIT: Final = 0x40
_CMSGHDR: Final = ctypes.sizeof(ctypes.c_size_t) + 8
_CONTROL: Final = struct.Struct(f"@{_CMSGHDR + 16 + _CMSGHDR}xI12xHH4x")
"""The control messages of a frame: struct cmsghdr and struct timespec (SO_TIMESTAMPNS, socket(7)); then struct cmsghdr
and, with padding, struct tpacket_auxdata (linux/if_packet.h). Only the status and the tag's TCI and TPID are read."""

_TIME: Final = struct.Struct(f"@{_CMSGHDR}xqq")
"""The arrival of a frame in its control messages: seconds and nanoseconds of the wall clock."""


class _Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct msghdr`, recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """`struct mmsghdr`, recvmmsg(2)."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


_LENGTH: Final = struct.Struct(
    f"@{_Message.length.offset}xI{ctypes.sizeof(_Message) - _Message.length.offset - ctypes.sizeof(ctypes.c_uint)}x"
)
"""The length in a `_Message`."""

_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


Arrivals = list[tuple[int, list[bytes]]]
"""Frames that arrived together, and when the kernel had the last of them, ns of the wall clock; in order."""


class FrameReader:
    """Reads frames from a packet socket with SO_TIMESTAMPNS (socket(7)) and PACKET_AUXDATA (packet(7)).

    It calls recvmmsg(2) by ctypes, because `socket.recvmsg` asks the kernel for the name of the device with each frame.

    Args:
        sock: the packet socket.
        mtu: bytes of an IP packet.
    """

    def __init__(self, sock: socket.socket, mtu: int) -> None:
        self._descriptor = sock.fileno()
        self._mtu = mtu
        # A frame that fills the extra byte is too large.
        size = mtu + ETHERNET + _TAGS_INSIDE * vlan.TAG_BYTES + 1
        self._frames = memoryview(bytearray(BATCH * size))
        self._controls = memoryview(bytearray(BATCH * _CONTROL.size))
        self._starts = range(0, BATCH * size, size)
        frames_at, controls_at = map(_address, (self._frames, self._controls))
        self._vectors = (_Vector * BATCH)(*(_Vector(frames_at + start, size) for start in self._starts))
        messages = (_Message * BATCH)()
        for index, message in enumerate(messages):
            message.header.vectors = ctypes.pointer(self._vectors[index])
            message.header.vector_count = 1
            message.header.control = controls_at + index * _CONTROL.size
            message.header.control_size = _CONTROL.size
        self._template = bytes(messages)  # the kernel overwrites some of it
        self._messages = memoryview(bytearray(self._template))
        self._messages_at = _address(self._messages)

    def read(self) -> tuple[Arrivals, int]:
        """Return the waiting frames, at most `BATCH`, from the MAC header on; and how many others were too large.

        After a while without a processor, a reader finds frames that arrived far apart: they keep their own times.

        Raises:
            OSError: the device is gone or down; BlockingIOError if no frame waits.
        """
        self._messages[:] = self._template
        count = _recvmmsg(self._descriptor, self._messages_at, BATCH, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        frames = self._frames
        lengths = [length for (length,) in _LENGTH.iter_unpack(self._messages[: count * _LENGTH.size])]
        packets = [bytes(frames[at : at + length]) for at, length in zip(self._starts, lengths, strict=False)]
        controls = _CONTROL.iter_unpack(self._controls[: count * _CONTROL.size])
        packets = [vlan.with_tag(packet, *control) for packet, control in zip(packets, controls, strict=True)]
        last_ns = self._arrived_ns(count - 1)
        if last_ns - self._arrived_ns(0) <= SPREAD_NS:
            arrivals = [(last_ns, packets)]
        else:
            arrivals = _together([self._arrived_ns(place) for place in range(count)], packets)
        if max(lengths) <= self._mtu + ETHERNET:
            return arrivals, 0
        arrivals = [(arrived_ns, [each for each in some if self._fits(each)]) for arrived_ns, some in arrivals]
        return arrivals, count - sum(len(some) for _, some in arrivals)

    def _fits(self, packet: bytes) -> bool:
        return len(packet) <= self._mtu + network_at(packet)

    def _arrived_ns(self, place: int) -> int:
        seconds, nanoseconds = _TIME.unpack_from(self._controls, place * _CONTROL.size)
        return int(seconds) * 10**9 + int(nanoseconds)


def _together(arrived_ns: list[int], packets: list[bytes]) -> Arrivals:
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


def _address(buffer: memoryview) -> int:
    """Return the address of a buffer in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
