"""Wrong clocks for programs: a library that they preload (ld.so(8)), and a file that says how wrong their clock is.

Time namespaces do not move CLOCK_REALTIME (time_namespaces(7)). libfaketime 0.9.10 can't keep CLOCK_MONOTONIC as it is:
waits by that clock then end at once, and Python's `time.sleep` fails. Hence the library beside this file, which the
machine's C compiler makes when a lab needs it. It reaches programs that load glibc and read the time through it.
"""

from __future__ import annotations

import functools
import os
import re
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "TESTBED_CLOCK"
"""The environment variable with the path of the file."""

LIBRARY_IN_CONTAINERS: Final = "/.testbed-clock/clock.so"
SHIFT_IN_CONTAINERS: Final = "/.testbed-clock/shift"

_SHIFT = struct.Struct("=Qqqq")  # struct shift in clock.c
_TURN = struct.Struct("=Q")
_COMPILE_SECONDS = 60
_MACHINE = slice(18, 20)
"""Bytes of an ELF file that say for which processor it is (elf(5), e_machine)."""


@functools.cache
def library() -> bytes:
    """Return the library, for this machine's processor.

    Raises:
        MachineError: `no-compiler`.
    """
    import tempfile  # noqa: PLC0415  # it takes its time, and few labs have wrong clocks

    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory, "clock.so")
        source = Path(__file__).with_name("clock.c")
        try:
            argv = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(made), str(source), "-ldl"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
            said = done.stderr.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        if not made.exists():
            message = f"the C compiler of this machine can't make the library that clock: needs: {said}"
            raise MachineError("no-compiler", message, "apt-get install gcc libc6-dev")
        return made.read_bytes()


def misfit(libc: bytes) -> str:
    """Return why programs with that C library can't load `library`, as the end of a sentence; empty if they can."""
    mine = library()
    if libc[_MACHINE] != mine[_MACHINE]:
        return "is for another processor than this machine's"
    needed = set(re.findall(rb"GLIBC_2\.[0-9.]+", mine))
    if missing := sorted((each.decode() for each in needed if each not in libc), key=_version):
        return f"has a glibc without {missing[-1]}, with which this machine's compiler links"
    return ""


def _version(symbol: str) -> list[int]:
    return [int(part) for part in symbol.removeprefix("GLIBC_").split(".")]


def variables(library_path: str, shift_path: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program that has a clock of its own.

    Args:
        library_path: of the library.
        shift_path: of the file that says how the clock is off.
        environment: the other variables; what they preload comes after the library.
    """
    preloaded = [library_path, *filter(None, [environment.get("LD_PRELOAD", "")])]
    return {**environment, "LD_PRELOAD": ":".join(preloaded), VARIABLE: shift_path}


UNSHIFTED: Final = bytes(_SHIFT.size)
"""What the file contains at first: the clock is the machine's."""


def shift(path: Path, offset_ns: int, drift_ppb: int) -> None:
    """Make the clock of the programs with that file wrong by so much from now on.

    Args:
        path: of the file.
        offset_ns: at once; negative is behind.
        drift_ppb: how much it grows, ns in each second.

    Raises:
        OSError: the file is not there, or can't be written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        (turn,) = _TURN.unpack(os.pread(fd, _TURN.size, 0))
        turn -= turn % 2  # odd if a writer was killed
        values = _SHIFT.pack(turn + 1, offset_ns, drift_ppb, time.monotonic_ns())
        os.pwrite(fd, _TURN.pack(turn + 1), 0)  # odd: readers wait
        os.pwrite(fd, values[_TURN.size :], _TURN.size)
        os.pwrite(fd, _TURN.pack(turn + 2), 0)
    finally:
        os.close(fd)
