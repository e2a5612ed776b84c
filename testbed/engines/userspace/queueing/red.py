"""RED: a queue that drops the more often the longer it is on average (Floyd and Jacobson, 1993)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.queueing.disciplines import EarlyDropQueue
from testbed.impairments import CERTAIN

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, RandomWords
    from testbed.impairments import Red

_WEIGHT: Final = 1 / 512
"""Of a frame in the average: 0.002 in the paper, a power of two as the kernel's."""

_BYTE_NS: Final = 8 * 10**9


class RedQueue(EarlyDropQueue):
    """A queue that drops arriving frames at random, by RED with averages in bytes; names are those of the paper.

    While the queue is empty, the average falls as if small frames had left it empty all the time: s, the time that one
    takes, is that of the largest frame so far. The stage draws one word of `red` for each frame that may be dropped.

    Args:
        discipline: of the queue.
        rate_bps: of the transmitter, on average.
        counts: of the link.
        draw: draws the random words.
    """

    __slots__ = ("_avg", "_count", "_draw", "_largest", "_rate_bps", "_red", "_time")

    def __init__(self, discipline: Red, rate_bps: int, counts: Counts, draw: RandomWords) -> None:
        super().__init__(counts)
        self._red = discipline
        self._rate_bps = rate_bps
        self._draw = draw
        self._largest = 1
        self._avg = 0.0
        self._count = -1  # frames since the last one that was dropped
        self._time = 0  # when the queue became empty

    def observe(self, packet: Packet, now: int) -> None:
        """Bring the average length up to date, and remember the size of the largest frame."""
        self._largest = max(self._largest, len(packet))
        self._average(now)

    @property
    def may_mark(self) -> bool:
        """Whether frames are marked at the present average length."""
        return self._red.ecn and self._avg <= self._red.max_bytes

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the oldest frame."""
        packet = super().dequeue(now)
        if not self.frames:
            self._time = now
        return packet

    def _average(self, now: int) -> None:
        if self.frames:
            self._avg += _WEIGHT * (self.waiting_bytes - self._avg)
        else:
            idle_frames = (now - self._time) * self._rate_bps / (self._largest * _BYTE_NS)
            self._avg *= (1 - _WEIGHT) ** idle_frames

    def drops_early(self) -> bool:
        """Return whether RED drops or marks an arriving frame."""
        p_b = self._probability()
        if not p_b:
            self._count = -1
            return False
        self._count += 1
        spread = 1 - self._count * p_b
        if p_b < 1 and (spread > 0 and self._draw() >= p_b / spread * CERTAIN):
            return False
        self._count = 0
        return True

    def _probability(self) -> float:
        low, high = self._red.min_bytes, self._red.max_bytes
        max_p = self._red.probability / CERTAIN
        if self._avg < low:
            return 0.0
        if self._avg < high:
            return max_p * (self._avg - low) / (high - low)
        if self._red.gentle and self._avg < 2 * high:
            return max_p + (1 - max_p) * (self._avg - high) / high
        return 1.0
