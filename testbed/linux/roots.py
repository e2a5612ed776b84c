"""Files of other processes' file systems, opened so that their links can't lead out of these."""

from __future__ import annotations

import ctypes
import os

_OPENAT2 = 437  # include/uapi/asm-generic/unistd.h
_RESOLVE_IN_ROOT = 0x10  # include/uapi/linux/openat2.h

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    """A struct open_how."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


def open_in(pid: int, path: str, flags: int) -> int:
    """Open a file as a process sees it, and return its descriptor (openat2(2)).

    Args:
        pid: of the process.
        path: from its root directory.
        flags: of open(2).

    Raises:
        OSError: as the kernel says; ENOSYS before Linux 5.6.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=_RESOLVE_IN_ROOT)
        fd: int = _libc.syscall(_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return fd
    finally:
        os.close(root)
