"""When a worker rests, so that frames gather into batches and whoever sends them has its turn."""

from __future__ import annotations

from typing import Final

REST_S: Final = 60e-6
"""How long a rest is. A frame is late by about as much at most, and some 15 frames of a flood gather meanwhile, of the
tens of thousands that the socket holds."""

_WORK_MOST_NS = 1_000_000
"""How long a worker goes on without rest. With `REST_S` it rests more than 5 % of the time, because the kernel stops a
real-time process that takes all of it for 50 ms of every second (sched_rt_runtime_us)."""

_WINDOW_NS = 1_000_000
_BUSY_FRAMES = 10
"""A worker is busy while it reads that many frames in a window, 10,000/s."""


class Pace:
    """Decides after each round of a worker, reading and releasing, whether it rests before the next.

    A busy worker rests whenever it has done all there was to do, as network cards moderate their interrupts. Without
    that, one in real time would preempt the sender for every single frame when both share a core: the system calls,
    timer and switches around one frame cost several times the frame itself, and the sender hardly gets on. A worker
    that is not busy never rests, so that single frames and answers to them are not made late.

    Args:
        now: ns, as in all methods.
    """

    def __init__(self, now: int) -> None:
        self._rested = now
        self._since = now
        self._frames = 0
        self._busy = False

    def rests(self, frames: int, now: int, *, more: bool) -> bool:
        """Whether to rest after a round that read `frames`; `more` tells that there is more to do at once."""
        self._frames += frames
        passed = now - self._since
        if passed >= _WINDOW_NS:
            self._busy = self._frames * _WINDOW_NS >= _BUSY_FRAMES * passed
            self._since = now
            self._frames = 0
        return (self._busy and not more) or now - self._rested > _WORK_MOST_NS

    def rested(self, now: int) -> None:
        """Note that the worker has rested until now, or has waited for something to do."""
        self._rested = now
