"""A file of limited size that keeps the newest blocks."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class _PacketBlock(NamedTuple):
    offset: int
    size: int
    packets: int


class PacketSpool:
    """Blocks of packets in a file; when it is full, new ones replace the oldest.

    Args:
        file: descriptor of an empty file, which stays the caller's.
        limit: bytes that the file may take, at least those of the largest block.

    Attributes:
        overwritten: packets that were replaced.
    """

    def __init__(self, file: int, limit: int) -> None:
        self.overwritten = 0
        self._file = file
        self._limit = limit
        self._end = 0
        self._blocks: deque[_PacketBlock] = deque()

    @property
    def packets(self) -> int:
        """The number of kept packets."""
        return sum(block.packets for block in self._blocks)

    def put(self, block: memoryview, packets: int) -> None:
        """Add a block of so many packets.

        Raises:
            OSError: the file system is full.
        """
        size = len(block)
        if self._end + size > self._limit:
            self._make_room(self._end, self._limit)  # what is left behind the end is the oldest
            self._end = 0
        self._make_room(self._end, self._end + size)
        written = 0
        while written < size:
            written += os.pwrite(self._file, block[written:], self._end + written)
        self._blocks.append(_PacketBlock(self._end, size, packets))
        self._end += size

    def _make_room(self, begin: int, end: int) -> None:
        """Drop the oldest blocks as long as they begin within the range."""
        while self._blocks and begin <= self._blocks[0].offset < end:
            self.overwritten += self._blocks.popleft().packets

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the kept blocks, the oldest first."""
        for block in self._blocks:
            yield os.pread(self._file, block.size, block.offset)
