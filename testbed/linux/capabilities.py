"""Capabilities (capabilities(7)): what root may do, in parts; by system call, as Python has none of it."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_BY_NUMBER = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NUMBERS: Final = {name: number for number, name in enumerate(_BY_NUMBER.split())}
"""By name without CAP_, the number of a capability (include/uapi/linux/capability.h)."""

# include/uapi/linux/prctl.h and capability.h
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x2008_0522
_MOST = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def bound(names: Collection[str]) -> None:
    """Limit all programs that this process and its children will execute to these capabilities, for good.

    The process itself keeps those that it has; see `give_up`.

    Raises:
        OSError: as the kernel says.
    """
    kept = {NUMBERS[name] for name in names}
    for number in range(_MOST):
        if number not in kept and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"prctl(PR_CAPBSET_DROP, {number})")
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl(PR_CAP_AMBIENT)")
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _checked(_libc.capget(ctypes.byref(header), sets), "capget")
    for each in sets:
        each.inheritable = 0  # which root's programs would have beyond the bounding set
    _checked(_libc.capset(ctypes.byref(header), sets), "capset")


def give_up(kept: Collection[str]) -> None:
    """Give up all capabilities of this process but these, for good; what it executes is up to `bound`.

    Raises:
        OSError: as the kernel says.
    """
    mask = sum(1 << NUMBERS[name] for name in kept)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _checked(_libc.capget(ctypes.byref(header), sets), "capget")
    for place, each in enumerate(sets):  # 32 capabilities each
        part = mask >> 32 * place & 0xFFFF_FFFF
        each.effective &= part
        each.permitted &= part
        each.inheritable &= part
    _checked(_libc.capset(ctypes.byref(header), sets), "capset")


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
