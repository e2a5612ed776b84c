"""Columns of integers: their delta coding in JSON lines, and columns on disk that are too long for memory."""

from __future__ import annotations

import functools
import os
import tempfile
import weakref
from array import array
from itertools import accumulate, chain, islice
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BYTES = 8
_PART = 10_000


def encode(values: Sequence[int]) -> list[int]:
    """Return the first value, then the difference of each to the one before, which shortens times and numbers."""
    return [*values[:1], *map(sub, islice(values, 1, None), values)]


def decode(differences: Iterable[int]) -> array[int]:
    """Return the values that `encode` turned into `differences`, as signed 64-bit integers."""
    return array("q", [*accumulate(differences)])


class Spool:
    """Bytes in an unnamed temporary file (in TMPDIR), which vanishes with the object or the process."""

    def __init__(self) -> None:
        self._size = 0

    @functools.cached_property
    def _fd(self) -> int:
        fd, path = tempfile.mkstemp(prefix="testbed-")
        Path(path).unlink()
        weakref.finalize(self, os.close, fd)
        return fd

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes | bytearray | memoryview | array[int]) -> None:
        """Append data."""
        left = memoryview(data).cast("B")
        while left:
            written = os.pwrite(self._fd, left, self._size)
            self._size += written
            left = left[written:]

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end`, or fewer at the end of the data."""
        return os.pread(self._fd, end - start, start)


class Column:
    """A column of signed 64-bit integers on disk, of any length."""

    def __init__(self) -> None:
        self._spool = Spool()

    def __len__(self) -> int:
        return len(self._spool) // _BYTES

    def __getitem__(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.rows(row, row + 1)[0]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.parts())

    def extend(self, values: Iterable[int]) -> None:
        """Append values."""
        if isinstance(values, array):
            self._spool.write(values)
            return
        left = iter(values)
        while part := array("q", [*islice(left, _PART)]):
            self._spool.write(part)

    def rows(self, start: int, end: int) -> array[int]:
        """Return the values of the rows from `start` up to `end`, or fewer at the end of the column."""
        return array("q", self._spool.read(start * _BYTES, end * _BYTES))

    def parts(self) -> Iterator[array[int]]:
        """Yield all rows, in chunks."""
        for start in range(0, len(self), _PART):
            yield self.rows(start, start + _PART)
