"""DualPI2: a queue for L4S and one for all others, with coupled probabilities (RFC 9332, appendix A)."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.headers import congestion_marked, is_l4s
from testbed.engines.userspace.queueing.disciplines import DropTailQueue
from testbed.engines.userspace.segments import contents, sealed
from testbed.impairments import CERTAIN

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, Frame, RandomWords
    from testbed.impairments import DualPi2

_K: Final = 2  # the coupling factor
_RTT_MAX: Final = 0.1  # seconds
_BETA: Final = 0.3 / _RTT_MAX  # Hz
_SECOND: Final = 10**9
_NEGLIGIBLE: Final = 1 / CERTAIN  # no random word is below a smaller probability
_L_SHARE, _C_SHARE = 90, 10
"""The weights of the queues while frames wait in both: the classic queue has at least a tenth (net/sched/sch_dualpi2.c,
`c_protection`; RFC 9332, A.1 asks for a conditional priority of this kind)."""


class DualPi2Queue:
    """Two queues in one; names are those of RFC 9332, appendix A.

    An L4S frame (`headers.is_l4s`) is marked at random with the probability p_CL = 2 p', and in any case if it waited
    longer than the step and other L4S frames wait behind it. Any other frame is dropped with p_C = p'^2, or marked if
    it has ECT(0). When p_CL reaches 1 (overload, A.2), frames of both queues are dropped with p_C. Nothing is dropped
    or marked at random while no more than two full frames wait. The stage draws a word of `dualpi2` for each frame that
    is sent or dropped, or two for p_C: both have to be below p'.

    Args:
        discipline: of the queue.
        counts: of the link.
        draw: draws the random words.
        now: when the queue begins.
    """

    __slots__ = (
        "_alpha", "_classic", "_counts", "_credit", "_draw", "_l4s", "_largest", "_next_update", "_p", "_prevq",
        "_step", "_target", "_tupdate",
    )  # fmt: skip

    def __init__(self, discipline: DualPi2, counts: Counts, draw: RandomWords, now: int) -> None:
        self._target = discipline.target_ns
        self._tupdate = discipline.update_ns
        self._step = discipline.step_ns
        self._alpha = 0.1 * self._tupdate / _SECOND / _RTT_MAX**2  # Hz
        self._counts = counts
        self._draw = draw
        self._l4s = DropTailQueue(counts)
        self._classic = DropTailQueue(counts)
        self._next_update = now + self._tupdate
        self._largest = 0
        self._p = 0.0  # p'
        self._prevq = 0
        self._credit = 0  # the classic queue's turn when it is positive

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting frames."""
        return self._l4s.waiting_bytes + self._classic.waiting_bytes

    def enqueue(self, packet: Packet, now: int, room: int) -> None:
        """Add the frame to its queue, if it fits into both together."""
        self._update(now)
        self._largest = max(self._largest, len(packet))
        queue, other = (self._l4s, self._classic) if is_l4s(contents(packet)) else (self._classic, self._l4s)
        queue.enqueue(packet, now, room - other.waiting_bytes)

    def adopt(self, frames: list[Frame]) -> None:
        """Add frames without a limit."""
        for frame in frames:
            (self._l4s if is_l4s(contents(frame[1])) else self._classic).adopt([frame])

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the next frame that is not dropped."""
        self._update(now)
        while len(self):
            is_short = self.waiting_bytes <= 2 * self._largest
            queue = self._next()
            came, packet = queue.frames[0]
            queue.dequeue(now)
            is_overloaded = _K * self._p >= 1
            if not is_short and is_overloaded and self._draws_p_c():
                self._counts.drop_early(packet)
            elif queue is self._l4s:
                return self._l4s_sent(packet, now - came, is_short=is_short)
            elif is_short or is_overloaded or not self._draws_p_c():
                return packet
            elif (marked := congestion_marked(sealed(packet))) is not None:
                self._counts.marked += 1
                return marked
            else:
                self._counts.drop_early(packet)
        return None

    def waiting(self) -> list[Frame]:
        """Return the waiting frames."""
        return sorted([*self._l4s.frames, *self._classic.frames], key=itemgetter(0))

    def _next(self) -> DropTailQueue:
        """Return the queue whose turn it is; not both are empty."""
        if not self._classic.frames:
            self._credit = 0
            return self._l4s
        if not self._l4s.frames:
            self._credit = 0
            return self._classic
        queue, change = (self._classic, -_L_SHARE) if self._credit > 0 else (self._l4s, _C_SHARE)
        self._credit += change * len(queue.frames[0][1])
        return queue

    def _l4s_sent(self, packet: Packet, waited_ns: int, *, is_short: bool) -> Packet:
        """Return an L4S frame, marked if it is its turn."""
        by_chance = self._draw() < _K * self._p * CERTAIN and not is_short
        if by_chance or (waited_ns > self._step and self._l4s.frames):
            self._counts.marked += 1
            return congestion_marked(sealed(packet)) or packet
        return packet

    def _draws_p_c(self) -> bool:
        """Return true with the probability p_C, the square of p'."""
        return max(self._draw(), self._draw()) < self._p * CERTAIN

    def _update(self, now: int) -> None:
        """Compute p' at all times up to `now` at which that was due; no frame came or left since then."""
        while self._next_update <= now:
            self._dualpi2_update(self._next_update)
            self._next_update += self._tupdate
            if not (self._p or self._prevq or len(self)):  # nothing changes
                self._next_update += -(-max(now + 1 - self._next_update, 0) // self._tupdate) * self._tupdate

    def _dualpi2_update(self, now: int) -> None:
        """Compute p' from the longest wait, that of the oldest frame of both queues, at `now`."""
        curq = max((now - queue.frames[0][0] for queue in (self._l4s, self._classic) if queue.frames), default=0)
        p = self._p + (self._alpha * (curq - self._target) + _BETA * (curq - self._prevq)) / _SECOND
        self._p = min(max(p, 0.0), 1.0)
        if self._p < _NEGLIGIBLE:
            self._p = 0.0
        self._prevq = curq

    def __len__(self) -> int:
        return len(self._l4s) + len(self._classic)
