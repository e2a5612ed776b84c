"""The logs of nodes' own commands: files of the lab of which the end is kept, so that no program fills the machine.

A program writes to its log itself, and the directory of a lab is mostly in memory. So the agent frees the blocks of a
long log's beginning (FALLOC_FL_PUNCH_HOLE of fallocate(2)): the program need not open another file, and offsets in the
log stay what they are.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.linux.holes import punch_hole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

KEPT_BYTES = 16 << 20
"""How much of a log is kept at least."""

_SLACK_BYTES = 8 << 20
_STEP_BYTES = 1 << 20
"""Beginnings of logs are whole multiples of this, and so of a block of any file system."""

_INTERVAL_SECONDS = 0.1
"""In which a program that only writes fills a few hundred megabytes at most."""

_FOLLOW_SECONDS = 0.2
_CHUNK = 1 << 16
_BLOCK_BYTES = 512
"""The unit of st_blocks (stat(2))."""


def path_of(directory: Path, node: str) -> Path:
    """Return the path of a node's log in the directory of its lab."""
    return directory / f"node-{node}.log"


async def keep_short(logs: Collection[Path]) -> None:
    """Keep logs short until cancelled; more may be added meanwhile. One that fails is left alone from then on."""
    import asyncio  # noqa: PLC0415  # commands, which only read logs, need none

    failed: set[Path] = set()
    while True:
        await asyncio.sleep(_INTERVAL_SECONDS)
        for path in [path for path in logs if path not in failed]:
            try:
                shorten(path)
            except OSError as error:
                _log.warning("%s is not kept short any more: %s", path, error)
                failed.add(path)


def shorten(path: Path) -> None:
    """Free the blocks of a log's beginning if it has become long.

    Raises:
        OSError: the file system can't free them.
    """
    found = path.stat()
    if found.st_blocks * _BLOCK_BYTES > KEPT_BYTES + _SLACK_BYTES:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            punch_hole(fd, (found.st_size - KEPT_BYTES) // _STEP_BYTES * _STEP_BYTES)
        finally:
            os.close(fd)


def pieces(path: Path, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what is kept of a log, and a line about what is not; what is written meanwhile follows.

    Args:
        path: of the log; without a file there is nothing.
        is_over: whether nothing more is written, or waited for.
    """
    if not path.exists():
        return
    at = 0
    with path.open("rb", buffering=0) as file:
        while True:
            is_last = is_over()
            end = os.fstat(file.fileno()).st_size  # a program that writes faster than this reads has no end
            while at < end and (found := _piece(file.fileno(), at)):
                start, data = found
                if start > at:
                    yield f"testbed: {start - at} bytes of this log are gone: only its end is kept\n".encode()
                    yield data.partition(b"\n")[2]
                else:
                    yield data
                at = start + len(data)
            if is_last:
                return
            time.sleep(_FOLLOW_SECONDS)


def _piece(fd: int, at: int) -> tuple[int, bytes] | None:
    """Return what is kept of a log from an offset on, with its own offset; None where there is nothing yet."""
    with suppress(OSError):  # ENXIO: there are no data from there on
        while True:
            start = os.lseek(fd, at, os.SEEK_DATA)
            data = os.pread(fd, _CHUNK, start)
            if not data:
                return None
            if os.lseek(fd, start, os.SEEK_DATA) == start:  # it was not freed while it was read
                return start, data
    return None
