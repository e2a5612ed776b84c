"""Files with holes: parts that take no space and read as zeros."""

from __future__ import annotations

import ctypes
import os

# include/uapi/linux/falloc.h
_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]


def punch_hole(fd: int, length: int) -> None:
    """Free the space of the first bytes of a file, whose size stays as it is (fallocate(2)).

    Raises:
        OSError: the file system can't.
    """
    if _libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, 0, length):
        number = ctypes.get_errno()
        raise OSError(number, f"fallocate: {os.strerror(number)}")
