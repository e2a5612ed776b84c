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

_MSG_DONTWAIT: Final = 0x40
_CONTROL: Final = struct.Struct(f"@{ctypes.sizeof(ctypes.c_size_t) + 8}xI12xHH4x")
"""A control message: struct cmsghdr and, with padding, struct tpacket_auxdata (linux/if_packet.h). Only the status and
the tag's TCI and TPID are read."""


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


class FrameReader:
    """Reads frames from a packet socket with PACKET_AUXDATA (packet(7)).

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

    def read(self) -> tuple[list[bytes], int]:
        """Return the waiting frames, at most `BATCH`, from the MAC header on; and how many others were too large.

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
        if max(lengths) <= self._mtu + ETHERNET:
            return packets, 0
        kept = [packet for packet in packets if len(packet) <= self._mtu + network_at(packet)]
        return kept, count - len(kept)


def _address(buffer: memoryview) -> int:
    """Return the address of a buffer in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
