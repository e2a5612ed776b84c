"""Propagation: how long each frame is delayed, and which frames are reordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from testbed.engines.userspace.stages.stage import Counts, Frame, Stage, random_words, steps
from testbed.impairments.distributions import SCALE, quantiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.impairments import Impairments, Jitter, Reorder


class Delay(Stage, Protocol):
    """A stage that delays frames.

    Attributes:
        last_ns: when the last of the frames that are not reordered leaves.
    """

    last_ns: int


def delay(impairments: Impairments, seed: str, counts: Counts, *, applied: int, after_ns: int) -> Delay:
    """Return the stage that carries out a link's delay. If frames keep order, none leaves before `after_ns`.

    Args:
        impairments: of the link.
        seed: of the impairments.
        counts: of the link.
        applied: when a trace of the delay begins.
        after_ns: when the last of the frames before these leaves.
    """
    delay_ns, jitter, trace = impairments.delay_ns, impairments.jitter, impairments.delay_trace
    hold = _hold(delay_ns, jitter, seed) if jitter else None
    if impairments.keeps_order and not trace:
        return VariedDelay(hold, after_ns) if hold else ConstantDelay(delay_ns, after_ns)
    reordering = ReorderSelector(impairments.reorder, seed, counts) if impairments.reorder else None
    keeps_order = jitter is None or jitter.keeps_order
    drawn = hold or (lambda: delay_ns)
    if not trace:
        return LooseDelay(lambda _now: drawn(), reordering, after_ns, keeps_order=keeps_order)
    delay_at = steps(trace.starts_ns, trace.delays_ns, trace.period_ns, applied)

    def traced(now: int) -> int:
        return max(delay_at(now) + drawn() - delay_ns, 0)

    return LooseDelay(traced, reordering, after_ns, keeps_order=keeps_order)


def _hold(delay_ns: int, jitter: Jitter, seed: str) -> Callable[[], int]:
    """Return a function that draws the delay of the next frame, ns. Each call takes one word w of `jitter`.

    `uniform`: delay - jitter + floor(w (2 jitter + 1) / 2^32). The other distributions take entry floor(w n / 2^32) of
    the table of n quantiles (`testbed.impairments.distributions`), times the jitter as in net/sched/sch_netem.c,
    `tabledist`, rounded half away from zero; a negative delay becomes 0. (netem takes entry w modulo n, which uses the
    lowest bits of the word, so netem's correlation has no effect on values from a table; here it has.)
    """
    draw = random_words(seed, "jitter", jitter.correlation)
    table = quantiles(jitter.distribution)
    if not table:
        shortest = delay_ns - jitter.ns
        spread = 2 * jitter.ns + 1
        return lambda: shortest + (draw() * spread >> 32)
    holds = [max(delay_ns + _rounded(entry * jitter.ns), 0) for entry in table]
    size = len(holds)
    return lambda: holds[draw() * size >> 32]


def _rounded(deviation: int) -> int:
    whole = (abs(deviation) + SCALE // 2) // SCALE
    return whole if deviation >= 0 else -whole


class ConstantDelay:
    """Delays every frame by the same time, or until the frame before it leaves if that is later; also trains."""

    __slots__ = ("_delay_ns", "last_ns")

    def __init__(self, delay_ns: int, after_ns: int) -> None:
        self._delay_ns = delay_ns
        self.last_ns = after_ns

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return all frames, each with the time at which it leaves."""
        if not frames:
            return frames
        delay_ns = self._delay_ns
        last = self.last_ns
        self.last_ns = max(last, frames[-1][0] + delay_ns)
        if frames[0][0] + delay_ns >= last:
            return [(now + delay_ns, packet) for now, packet in frames]
        return [(max(now + delay_ns, last), packet) for now, packet in frames]


class VariedDelay:
    """Delays each frame by a random time, or until the frame before it leaves if that is later."""

    __slots__ = ("_hold", "last_ns")

    def __init__(self, hold: Callable[[], int], after_ns: int) -> None:
        self._hold = hold
        self.last_ns = after_ns

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return all frames, each with the time at which it leaves."""
        hold = self._hold
        last = self.last_ns
        held = []
        for now, packet in frames:
            due = now + hold()
            if due < last:
                due = last
            else:
                last = due
            held.append((due, packet))
        self.last_ns = last
        return held


class ReorderSelector:
    """Chooses the frames that are reordered (`testbed.impairments.Reorder`).

    It draws one word of `reorder` per candidate frame and chooses the frame if the word is less than the probability.
    With a gap of n, a frame is a candidate if the n - 1 frames before it were not chosen (net/sched/sch_netem.c,
    `netem_enqueue`).
    """

    __slots__ = ("_counts", "_draw", "_gap", "_passed", "_probability", "late_ns")

    def __init__(self, reorder: Reorder, seed: str, counts: Counts) -> None:
        self._draw = random_words(seed, "reorder", reorder.event.correlation)
        self._probability = reorder.event.probability
        self._gap = reorder.gap
        self._passed = 0
        self._counts = counts
        self.late_ns = reorder.late_ns

    def chooses(self) -> bool:
        """Return whether the next frame is reordered."""
        if self._passed < self._gap - 1 or self._draw() >= self._probability:
            self._passed += 1
            return False
        self._passed = 0
        self._counts.reordered += 1
        return True


class LooseDelay:
    """Delays each frame by a time that may depend on when it arrives; some may overtake others.

    Every frame takes its word of `jitter`, even one that is sent at once.

    Args:
        hold: returns the delay of the next frame, ns, from the time at which it arrives.
        reordering: chooses the frames that are reordered, or None.
        after_ns: when the last of the frames before these leaves.
        keeps_order: frames that are not reordered leave in the order in which they arrived.
    """

    __slots__ = ("_hold", "_keeps_order", "_reordering", "last_ns")

    def __init__(
        self, hold: Callable[[int], int], reordering: ReorderSelector | None, after_ns: int, *, keeps_order: bool
    ) -> None:
        self._hold = hold
        self._reordering = reordering
        self._keeps_order = keeps_order
        self.last_ns = after_ns

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return all frames in order of arrival, each with the time at which it leaves."""
        held = []
        for now, packet in frames:
            due = now + self._hold(now)
            if self._reordering and self._reordering.chooses():
                due = due + self._reordering.late_ns if self._reordering.late_ns else now
            else:
                self.last_ns = max(due, self.last_ns)
                if self._keeps_order:
                    due = self.last_ns
            held.append((due, packet))
        return held
