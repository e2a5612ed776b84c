"""PIE: a queue whose probability of dropping holds the wait at a target (RFC 8033)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.queueing.disciplines import EarlyDropQueue
from testbed.impairments import CERTAIN

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, RandomWords
    from testbed.impairments import Pie

_ALPHA: Final = 0.125  # per second: RFC 8033, 5.1 and A
_BETA: Final = 1.25
_MAX_BURST_NS: Final = 150_000_000
_MAX_ECN: Final = 0.1  # of the probability: above, ECN-capable packets are dropped too (5.1)
_STEP_MOST: Final = 0.02  # from a probability of _STEP_FROM on (5.5)
_STEP_FROM: Final = 0.1
_DECAY: Final = 1 - 1 / 64  # A: exponential decay while there is no queue
_NEGLIGIBLE: Final = 1 / CERTAIN  # no random word is below a smaller probability
_LOW_PROBABILITY: Final = 0.2
_SURE_LEAST: Final = 0.85  # 5.4, de-randomization
_SURE_MOST: Final = 8.5
_GENTLER: Final = ((0.000001, 2048), (0.00001, 512), (0.0001, 128), (0.001, 32), (0.01, 8), (0.1, 2))
"""Auto-tuning (4.2): below each probability, by how much the change is divided."""

_SECOND: Final = 10**9


class PieQueue(EarlyDropQueue):
    """A queue that drops arriving frames at random, by PIE; names are those of RFC 8033, appendix A.

    The queue's delay is the wait of the frame sent last (5.2 allows time stamps); in an empty queue it is 0. PIE is
    always active, without the turning on and off of 5.3. MEAN_PKTSIZE is the largest frame so far. The stage draws one
    word of `pie` for each frame that may be dropped.

    Args:
        discipline: of the queue.
        counts: of the link.
        draw: draws the random words.
        now: when the queue begins.
    """

    __slots__ = (
        "_accu_prob", "_burst_allowance", "_draw", "_drop_prob", "_ecn", "_mean_pktsize", "_next_update", "_qdelay",
        "_qdelay_old", "_t_update", "_target",
    )  # fmt: skip

    def __init__(self, discipline: Pie, counts: Counts, draw: RandomWords, now: int) -> None:
        super().__init__(counts)
        self._target = discipline.target_ns
        self._t_update = discipline.update_ns
        self._ecn = discipline.ecn
        self._draw = draw
        self._next_update = now + self._t_update
        self._mean_pktsize = 0
        self._drop_prob = 0.0
        self._accu_prob = 0.0
        self._burst_allowance = _MAX_BURST_NS
        self._qdelay = 0
        self._qdelay_old = 0

    def observe(self, packet: Packet, now: int) -> None:
        """Bring the probability up to date, and remember the size of the largest frame."""
        self._update(now)
        self._mean_pktsize = max(self._mean_pktsize, len(packet))

    @property
    def may_mark(self) -> bool:
        """Whether frames are marked at the present probability."""
        return self._ecn and self._drop_prob <= _MAX_ECN

    def dequeue(self, now: int) -> Packet | None:
        """Remove and return the oldest frame."""
        self._update(now)
        if self.frames:
            came, _ = self.frames[0]
            self._qdelay = now - came
        return super().dequeue(now)

    def drops_early(self) -> bool:
        """Return whether PIE drops or marks an arriving frame (`drop_early`)."""
        if self._burst_allowance:
            return False
        if self._qdelay_old < self._target / 2 and self._drop_prob < _LOW_PROBABILITY:
            return False
        if self.waiting_bytes <= 2 * self._mean_pktsize:
            return False
        if not self._drop_prob:
            self._accu_prob = 0.0
        self._accu_prob += self._drop_prob
        if self._accu_prob < _SURE_LEAST:
            return False
        if self._accu_prob < _SURE_MOST and self._draw() >= self._drop_prob * CERTAIN:
            return False
        self._accu_prob = 0.0
        return True

    def _update(self, now: int) -> None:
        """Compute the probability at all times up to `now` at which that was due; no frame came or left since then."""
        while self._next_update <= now:
            self._calculate_drop_prob()
            self._next_update += self._t_update
            if not (self._drop_prob or self._qdelay or self._qdelay_old or self.frames):  # nothing changes
                self._next_update += -(-max(now + 1 - self._next_update, 0) // self._t_update) * self._t_update
                self._burst_allowance = _MAX_BURST_NS

    def _calculate_drop_prob(self) -> None:
        if not self.frames:
            self._qdelay = 0
        p = _ALPHA * (self._qdelay - self._target) / _SECOND + _BETA * (self._qdelay - self._qdelay_old) / _SECOND
        p /= next((divisor for below, divisor in _GENTLER if self._drop_prob < below), 1)
        if self._drop_prob >= _STEP_FROM:
            p = min(p, _STEP_MOST)
        self._drop_prob = min(max(self._drop_prob + p, 0.0), 1.0)
        if not self._qdelay and not self._qdelay_old:
            self._drop_prob *= _DECAY
            if self._drop_prob < _NEGLIGIBLE:
                self._drop_prob = 0.0
        self._burst_allowance = max(0, self._burst_allowance - self._t_update)
        half = self._target / 2
        if not self._drop_prob and self._qdelay < half and self._qdelay_old < half:
            self._burst_allowance = _MAX_BURST_NS
        self._qdelay_old = self._qdelay
