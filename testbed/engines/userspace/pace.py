"""When a worker pauses, so that frames gather into batches and their senders get processor time."""

from __future__ import annotations

from typing import Final

REST_S: Final = 60e-6
"""How long a rest is. It delays a frame by about this much at most, and some 15 frames of a flood gather meanwhile, of
the tens of thousands that the socket holds."""

_WORK_MOST_NS = 1_000_000
"""How long a worker runs without rest. With `REST_S` it rests more than 5 % of the time, because the kernel stops a
real-time process that never sleeps for 50 ms of every second (sched_rt_runtime_us)."""

_WINDOW_NS = 1_000_000
_BUSY_PACKETS = 10
"""A worker is busy while it reads at least this many packets per window, 10,000/s."""


class Pace:
    """Decides after each round of reading and releasing whether the worker rests before the next one.

    A busy worker rests whenever it has nothing left to do, as network cards moderate their interrupts. Otherwise a
    worker with real-time priority would preempt the sender for every single frame when both share a core: the system
    calls, timers and context switches around one frame cost several times the frame itself, and the sender makes
    hardly any progress. A worker that is not busy never rests, so that single frames and answers to them are on time.

    Args:
        now: ns, as in all methods.
    """

    def __init__(self, now: int) -> None:
        self._rested = now
        self._since = now
        self._packets = 0
        self._busy = False

    def rests(self, packets: int, now: int, *, more: bool) -> bool:
        """Return whether to rest after a round that read `packets` packets; `more` says that more work is due now."""
        self._packets += packets
        passed = now - self._since
        if passed >= _WINDOW_NS:
            self._busy = self._packets * _WINDOW_NS >= _BUSY_PACKETS * passed
            self._since = now
            self._packets = 0
        return (self._busy and not more) or now - self._rested > _WORK_MOST_NS

    def rested(self, now: int) -> None:
        """Record that the worker has rested, or has waited for work, until now."""
        self._rested = now
