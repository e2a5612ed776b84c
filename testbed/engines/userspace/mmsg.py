"""Structures of recvmmsg(2) and sendmmsg(2), for ctypes."""

from __future__ import annotations

import ctypes


class Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _MsgHeader(ctypes.Structure):
    """`struct msghdr`, recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class MmsgHeader(ctypes.Structure):
    """`struct mmsghdr`, recvmmsg(2)."""

    _fields_ = (("header", _MsgHeader), ("length", ctypes.c_uint))


def address_of(buffer: memoryview) -> int:
    """Return the address of a buffer in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
