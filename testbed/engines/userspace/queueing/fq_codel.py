"""FQ-CoDel: flows take turns, and each has its own CoDel queue (RFC 8290)."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Final
from zlib import crc32

from testbed.engines.userspace.headers import parse
from testbed.engines.userspace.queueing.disciplines import CoDelQueue
from testbed.engines.userspace.segments import contents

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, Frame, RandomWords
    from testbed.impairments import CoDel

_FLOWS_BITS: Final = 10  # 1024 flows: RFC 8290, 5.2.4
_QUANTUM: Final = 1514  # RFC 8290, 5.2.3
_DROP_BATCH: Final = 64  # RFC 8290, 4.1
_NO_LIMIT: Final = 1 << 63


class _Flow(CoDelQueue):
    """The queue of one flow, its remaining bytes in this turn, and whether it is in the rotation."""

    __slots__ = ("credits", "takes_turns")

    def __init__(self, discipline: CoDel, counts: Counts) -> None:
        super().__init__(discipline, counts)
        self.credits = 0
        self.takes_turns = False


class FqCoDelQueue:
    """Queues of flows that take turns; when they are full, frames are dropped from the head of the longest.

    One word of `flows` is drawn when the impairments are applied; it decides which flows share a queue. The queue's
    number is the highest bits of the CRC-32 of addresses, protocol and ports times the word made odd, modulo 2^32.

    Attributes:
        waiting_bytes: bytes of the waiting frames.
    """

    __slots__ = ("_counts", "_discipline", "_flows", "_multiplier", "_new", "_old", "length", "waiting_bytes")

    def __init__(self, discipline: CoDel, counts: Counts, draw: RandomWords) -> None:
        self._discipline = discipline
        self._counts = counts
        self._multiplier = draw() | 1
        self._flows: dict[int, _Flow] = {}
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self.waiting_bytes = 0
        self.length = 0

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame; if there is too little room, drop frames from the longest queue."""
        index = (crc32(parse(contents(packet)).flow) * self._multiplier & 0xFFFFFFFF) >> (32 - _FLOWS_BITS)
        flow = self._flows.get(index)
        if flow is None:
            flow = self._flows[index] = _Flow(self._discipline, self._counts)
        flow.enqueue(packet, now, len(packet) + flow.waiting_bytes)
        self.waiting_bytes += len(packet)
        self.length += 1
        if not flow.takes_turns:
            flow.takes_turns = True
            flow.credits = _QUANTUM
            self._new.append(flow)
        while self.waiting_bytes > room and self.length:
            self._drop_from_longest()

    def adopt(self, frames: list[Frame]) -> None:
        """Add frames without a limit."""
        for came, packet in frames:
            self.enqueue(packet, came, _NO_LIMIT)

    def _drop_from_longest(self) -> None:
        """Drop half of the longest queue, at most 64 frames, the oldest first."""
        longest = max(self._flows.values(), key=lambda flow: flow.waiting_bytes)
        half = longest.waiting_bytes // 2
        dropped = 0
        for _ in range(_DROP_BATCH):
            dropped += longest.drop_oldest()
            self.length -= 1
            if dropped >= half or not len(longest):
                break
        self.waiting_bytes -= dropped

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the next frame of the flow whose turn it is."""
        while True:
            turns = self._new or self._old
            if not turns:
                return None
            flow = turns[0]
            if flow.credits <= 0:
                flow.credits += _QUANTUM
                self._old.append(turns.popleft())
                continue
            before_bytes, before_length = flow.waiting_bytes, len(flow)
            packet = flow.dequeue(now)
            self.waiting_bytes -= before_bytes - flow.waiting_bytes
            self.length -= before_length - len(flow)
            if packet is None:
                turns.popleft()
                if turns is self._new and self._old:
                    self._old.append(flow)  # so that a flow can't stay new forever: RFC 8290, 4.2
                else:
                    flow.takes_turns = False
                continue
            flow.credits -= len(packet)
            return packet

    def waiting(self) -> list[Frame]:
        """Return the waiting frames."""
        return sorted((frame for flow in self._flows.values() for frame in flow.waiting()), key=itemgetter(0))

    def __len__(self) -> int:
        return self.length
