"""Let programs that set their supplementary groups run in a user namespace of one user and one group.

An ordinary user may make such a namespace only without the right to set groups (user_namespaces(7), `setgroups`). The
groups would mean nothing there, but programs that start as root set them, and end if that fails: `tcpdump -Z root`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

from testbed.linux import namespaces

_SETGROUPS = {"x86_64": (0xC000_003E, 116), "aarch64": (0xC000_00B7, 159)}
"""By machine: what seccomp calls it (AUDIT_ARCH_*, include/uapi/linux/audit.h), and the number of the system call."""

# include/uapi/linux/seccomp.h and bpf_common.h
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ALLOW, _ERRNO_0 = 0x7FFF_0000, 0x0005_0000


def tolerate_setgroups() -> None:
    """Let setgroups(2) succeed without effect, in this process and its children, if it is denied.

    Elsewhere, and on machines whose system calls are not known here, nothing changes.

    Raises:
        OSError: the kernel has no seccomp filters.
    """
    machine = os.uname().machine
    if machine not in _SETGROUPS or Path("/proc/self/setgroups").read_text("ascii").strip() != "deny":
        return
    architecture, number = _SETGROUPS[machine]
    steps = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 0, 3, architecture),
        (_LOAD_WORD, 0, 0, _NUMBER),
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _ERRNO_0),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    namespaces.filter_system_calls(ctypes.addressof(program))
