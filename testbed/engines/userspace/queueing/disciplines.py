"""Queue disciplines in virtual time: droptail, drophead and CoDel, and what those that drop early share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from math import isqrt
from typing import TYPE_CHECKING

from testbed.engines.userspace.headers import congestion_marked
from testbed.engines.userspace.segments import sealed

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, Frame
    from testbed.impairments import CoDel


class DropTailQueue:
    """A queue that, when it is full, drops the frame that arrives."""

    __slots__ = ("_counts", "frames", "waiting_bytes")

    def __init__(self, counts: Counts) -> None:
        self.frames: deque[Frame] = deque()
        self.waiting_bytes = 0
        self._counts = counts

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame if it fits."""
        if self.waiting_bytes + len(packet) > room:
            self._counts.drop_full(packet)
            return
        self.frames.append((now, packet))
        self.waiting_bytes += len(packet)

    def adopt(self, frames: list[Frame]) -> None:
        """Add frames without a limit."""
        self.frames.extend(frames)
        self.waiting_bytes += sum(len(packet) for _, packet in frames)

    def dequeue(self, now: int) -> Packet | None:  # noqa: ARG002  # this discipline does not ask how late it is
        """Remove and return the oldest frame."""
        if not self.frames:
            return None
        _, packet = self.frames.popleft()
        self.waiting_bytes -= len(packet)
        return packet

    def waiting(self) -> list[Frame]:
        """Return the waiting frames."""
        return list(self.frames)

    def __len__(self) -> int:
        return len(self.frames)


class EarlyDropQueue(DropTailQueue, ABC):
    """A queue that, before it is full, drops or marks some of the frames that arrive; the others it treats as droptail.

    Each discipline decides in `drops_early` which frames these are, and in `may_mark` whether they may be marked.
    """

    __slots__ = ()

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame if it fits and the discipline does not drop it."""
        self.observe(packet, now)
        if self.waiting_bytes + len(packet) <= room and self.drops_early():
            marked = congestion_marked(sealed(packet)) if self.may_mark else None
            if marked is None:
                self._counts.drop_early(packet)
                return
            self._counts.marked += 1
            packet = marked
        super().enqueue(packet, now, room)

    @abstractmethod
    def observe(self, packet: Packet, now: int) -> None:
        """Take note of a frame that arrives, before `drops_early`."""

    @abstractmethod
    def drops_early(self) -> bool:
        """Return whether the frame that arrives is dropped, or marked."""

    @property
    @abstractmethod
    def may_mark(self) -> bool:
        """Whether it may be marked instead of dropped, if it is ECN-capable (RFC 3168)."""


class DropHeadQueue(DropTailQueue):
    """A queue that, when it is full, drops its oldest frames until the one that arrives fits."""

    __slots__ = ()

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame, unless it would not fit into the empty queue."""
        while self.frames and len(packet) <= room < self.waiting_bytes + len(packet):
            _, oldest = self.frames.popleft()
            self.waiting_bytes -= len(oldest)
            self._counts.drop_full(oldest)
        super().enqueue(packet, now, room)


class CoDelQueue:
    """A queue that drops from its head when frames wait too long, by CoDel; names are those of RFC 8289, section 5.

    MAXPACKET is the largest frame so far. With ECN, a frame that can be marked is marked and sent instead of being
    dropped, and nothing else is dropped at that time (include/net/codel_impl.h, codel_dequeue).
    """

    __slots__ = (
        "_count",
        "_counts",
        "_drop_next",
        "_dropping",
        "_ecn",
        "_first_above_time",
        "_interval",
        "_lastcount",
        "_maxpacket",
        "_queue",
        "_target",
    )

    def __init__(self, discipline: CoDel, counts: Counts) -> None:
        self._target = discipline.target_ns
        self._interval = discipline.interval_ns
        self._ecn = discipline.ecn
        self._counts = counts
        self._queue = DropTailQueue(counts)
        self._maxpacket = 0
        self._first_above_time = 0
        self._drop_next = 0
        self._count = 0
        self._lastcount = 0
        self._dropping = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting frames."""
        return self._queue.waiting_bytes

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame if it fits."""
        self._maxpacket = max(self._maxpacket, len(packet))
        self._queue.enqueue(packet, now, room)

    def adopt(self, frames: list[Frame]) -> None:
        """Add frames without a limit."""
        self._maxpacket = max([self._maxpacket, *(len(packet) for _, packet in frames)])
        self._queue.adopt(frames)

    def waiting(self) -> list[Frame]:
        """Return the waiting frames."""
        return self._queue.waiting()

    def drop_oldest(self) -> int:
        """Drop the oldest frame because the queue is full, and return its bytes."""
        packet = self._queue.dequeue(0)
        if packet is None:
            return 0
        self._counts.drop_full(packet)
        return len(packet)

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the oldest frame that CoDel does not drop."""
        packet, ok_to_drop = self._dodequeue(now)
        if self._dropping:
            if not ok_to_drop:
                self._dropping = False
            while self._dropping and now >= self._drop_next:
                self._count += 1
                if (marked := self._marked(packet)) is not None:
                    self._drop_next = self._control_law(self._drop_next)
                    return marked
                self._drop(packet)
                packet, ok_to_drop = self._dodequeue(now)
                if ok_to_drop:
                    self._drop_next = self._control_law(self._drop_next)
                else:
                    self._dropping = False
        elif ok_to_drop:
            if (marked := self._marked(packet)) is not None:
                packet = marked
            else:
                self._drop(packet)
                packet, _ = self._dodequeue(now)
            self._dropping = True
            delta = self._count - self._lastcount
            self._count = delta if delta > 1 and now - self._drop_next < 16 * self._interval else 1
            self._drop_next = self._control_law(now)
            self._lastcount = self._count
        return packet

    def _dodequeue(self, now: int) -> tuple[Packet | None, bool]:
        """Remove and return the oldest frame, and whether CoDel may drop it."""
        if not self._queue.frames:
            self._first_above_time = 0
            return None, False
        came, _ = self._queue.frames[0]
        packet = self._queue.dequeue(now)
        if now - came < self._target or self._queue.waiting_bytes <= self._maxpacket:
            self._first_above_time = 0
            return packet, False
        if not self._first_above_time:
            self._first_above_time = now + self._interval
            return packet, False
        return packet, now >= self._first_above_time

    def _control_law(self, time: int) -> int:
        """Return `time` plus the interval divided by the square root of the count, ns."""
        return time + (self._interval << 32) // isqrt(self._count << 64)

    def _marked(self, packet: Packet | None) -> Packet | None:
        marked = congestion_marked(sealed(packet)) if self._ecn and packet is not None else None
        self._counts.marked += marked is not None
        return marked

    def _drop(self, packet: Packet | None) -> None:
        if packet is not None:
            self._counts.drop_early(packet)

    def __len__(self) -> int:
        return len(self._queue)
