"""Columns of integers: in JSON lines, the first value and then differences; on disk, what memory need not hold."""

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
    """The first of `values`, then the difference of each to the one before it (times and numbers become short)."""
    return [*values[:1], *map(sub, islice(values, 1, None), values)]


def decode(differences: Iterable[int]) -> array[int]:
    """The values that `encode` made `differences` from, as signed 64-bit integers."""
    return array("q", [*accumulate(differences)])


class Spool:
    """Bytes on disk, in a file without a name: it goes with the object, or with the process. TMPDIR says where."""

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
        """Put data behind what there is."""
        left = memoryview(data).cast("B")
        while left:
            written = os.pwrite(self._fd, left, self._size)
            self._size += written
            left = left[written:]

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, as far as there are any."""
        return os.pread(self._fd, end - start, start)


class Column:
    """A column of any length, which memory does not hold: signed 64-bit integers on disk."""

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
        """Put values behind those that there are."""
        if isinstance(values, array):
            self._spool.write(values)
            return
        left = iter(values)
        while part := array("q", [*islice(left, _PART)]):
            self._spool.write(part)

    def rows(self, start: int, end: int) -> array[int]:
        """The values of rows from `start` up to `end`, as far as there are any."""
        return array("q", self._spool.read(start * _BYTES, end * _BYTES))

    def parts(self) -> Iterator[array[int]]:
        """All of it, some rows at a time."""
        for start in range(0, len(self), _PART):
            yield self.rows(start, start + _PART)
