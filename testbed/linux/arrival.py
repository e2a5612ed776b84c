"""When the kernel received a packet, however late its reader reads it (SIOCGSTAMPNS and SO_TIMESTAMPNS, socket(7))."""

from __future__ import annotations

import fcntl
import struct
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

_SIOCGSTAMPNS: Final = 0x8907  # linux/sockios.h


def read_lag(sock: socket.socket) -> int:
    """Return how long ago the last packet read arrived in the kernel, ns; 0 before the first one.

    The first call enables timestamps. The kernel takes them by the wall clock. The difference is taken at once, so only
    setting the clock at this very moment could falsify it.
    """
    try:
        seconds, nanoseconds = struct.unpack("qq", fcntl.ioctl(sock, _SIOCGSTAMPNS, bytes(16)))
    except FileNotFoundError:
        return 0
    return _age_ns(int(seconds) * 10**9 + int(nanoseconds))


def arrival_ns(sock: socket.socket) -> int:
    """Return when the last packet read arrived in the kernel, ns of CLOCK_MONOTONIC."""
    lag = read_lag(sock)  # first: a process that is interrupted between the two sees the packet late, never early
    return time.monotonic_ns() - lag


def monotonic_of(wall_ns: int) -> int:
    """Return the time of CLOCK_MONOTONIC at which the kernel stamped a packet that was just read, by the wall clock."""
    age_ns = _age_ns(wall_ns)  # first, as above
    return time.monotonic_ns() - age_ns


def _age_ns(wall_ns: int) -> int:
    return max(time.time_ns() - wall_ns, 0)
