"""How long a bottleneck takes to send a frame: at a fixed or changing rate, in bursts, or at given opportunities."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, Protocol

from testbed.impairments import FixedRate, Opportunities, RateSteps, TokenBucket

if TYPE_CHECKING:
    from testbed.impairments import Bottleneck

BYTE_WORK: Final = 8 * 10**9
"""The work of sending a byte, in bits times ns per s: a transmitter of r bit/s does r units of work per nanosecond."""


class Transmitter(Protocol):
    """Sends one frame after the other. Times are in ns and never decrease."""

    def starts(self, free: int) -> int:
        """Return the earliest time from `free` on at which a frame can begin to be sent."""

    def ends(self, start: int, size: int) -> int:
        """Return when a frame of `size` bytes is sent whose transmission begins at `start`, a result of `starts`."""

    def left(self, now: int) -> int:
        """Return how much of the last frame remains to be sent at `now`, before its end; in units of `BYTE_WORK`."""

    def resume(self, now: int, work: int) -> int:
        """Return when a frame is sent that a previous transmitter left with `work` to do at `now`."""


def transmitter(bottleneck: Bottleneck, applied: int) -> Transmitter:
    """Return the transmitter of a bottleneck, with a trace that begins at `applied`."""
    match bottleneck.rate:
        case Opportunities() as trace:
            return TracedTransmitter(trace, bottleneck.overhead_bytes, applied)
        case RateSteps() as steps:
            return SteppedTransmitter(steps, bottleneck.overhead_bytes, applied)
        case TokenBucket() as bucket:
            return BucketTransmitter(bucket, bottleneck.overhead_bytes)
        case FixedRate(bps=bps):
            steps = RateSteps(starts_ns=(0,), rates_bps=(bps,), period_ns=1)
            return SteppedTransmitter(steps, bottleneck.overhead_bytes, applied)


class SteppedTransmitter:
    """A transmitter whose rate may change.

    Fractions of a nanosecond are carried from frame to frame, so that a busy transmitter keeps the rate exactly.
    """

    __slots__ = ("_applied", "_carry", "_free", "_overhead", "_period", "_rates", "_starts")

    def __init__(self, trace: RateSteps, overhead: int, applied: int) -> None:
        self._starts = trace.starts_ns
        self._rates = trace.rates_bps
        self._period = trace.period_ns
        self._overhead = overhead
        self._applied = applied
        self._free = applied
        self._carry = 0

    def starts(self, free: int) -> int:
        """Return `free`, or the end of a pause of the rate."""
        if len(self._rates) == 1:
            return free
        rate, until = self._step(free)
        while not rate:
            free = until
            rate, until = self._step(free)
        return free

    def ends(self, start: int, size: int) -> int:
        """Return when the last bit is sent."""
        return self._send(start, (size + self._overhead) * BYTE_WORK + (self._carry if start == self._free else 0))

    def left(self, now: int) -> int:
        """Return the work that the rates do from `now` to the end of the frame."""
        work = self._carry
        while now < self._free:
            rate, until = self._step(now) if len(self._rates) > 1 else (self._rates[0], self._free)
            until = min(until, self._free)
            work += rate * (until - now)
            now = until
        return work

    def resume(self, now: int, work: int) -> int:
        """Return when the last bit is sent."""
        return self._send(self.starts(now), work)

    def _send(self, start: int, work: int) -> int:
        if len(self._rates) > 1:
            rate, until = self._step(start)
            while work > rate * (until - start):
                work -= rate * (until - start)
                start = until
                rate, until = self._step(start)
        else:
            rate = self._rates[0]
        duration, self._carry = divmod(work, rate) if rate else (0, 0)
        self._free = start + duration
        return self._free

    def _step(self, now: int) -> tuple[int, int]:
        """Return the rate at `now` and the time at which it ends."""
        round_, into = divmod(now - self._applied, self._period)
        index = bisect_right(self._starts, into)
        end = self._starts[index] if index < len(self._starts) else self._period
        return self._rates[index - 1], self._applied + round_ * self._period + end


class BucketTransmitter:
    """A transmitter that sends at its peak while the bucket has tokens, then at its rate (`TokenBucket`).

    Tokens are counted in units of work, of which the rate yields as many per nanosecond as it has bit/s, so that
    nothing is rounded: after a frame of which the last bit leaves early in a nanosecond, some tokens remain.
    """

    __slots__ = ("_bps", "_free", "_most", "_overhead", "_peak_bps", "_peak_carry", "_start", "_tokens", "_work")

    def __init__(self, bucket: TokenBucket, overhead: int) -> None:
        self._bps = bucket.bps
        self._peak_bps = bucket.peak_bps
        self._most = bucket.burst_bytes * BYTE_WORK
        self._overhead = overhead
        self._free = 0  # when the last frame is sent
        self._peak_carry = 0  # of its work at the peak, what was left over from a whole nanosecond
        self._start = 0  # when it began to be sent, how much work it was, and the tokens there were
        self._work = 0
        self._tokens = self._most

    def starts(self, free: int) -> int:
        """Return `free`: a frame waits for tokens while it is being sent."""
        return free

    def ends(self, start: int, size: int) -> int:
        """Return when the last bit is sent."""
        return self._send(start, (size + self._overhead) * BYTE_WORK)

    def left(self, now: int) -> int:
        """Return the work that remains of the last frame at `now`."""
        passed = now - self._start
        done = self._tokens + passed * self._bps
        if self._peak_bps:
            done = min(done, passed * self._peak_bps)
        return max(self._work - done, 0)

    def resume(self, now: int, work: int) -> int:
        """Return when the last bit is sent."""
        return self._send(now, work)

    def _send(self, start: int, work: int) -> int:
        before = self._tokens - self._work + (start - self._start) * self._bps
        self._tokens = min(before, self._most)
        at_peak = 0
        if self._peak_bps:
            at_peak, self._peak_carry = divmod(work + (self._peak_carry if start == self._free else 0), self._peak_bps)
        lacking = max(work - self._tokens, 0)
        self._start, self._work = start, work
        self._free = start + max(at_peak, -(-lacking // self._bps))
        return self._free


class TracedTransmitter:
    """A transmitter that sends a number of bytes at given times, as Mahimahi's link does (src/frontend/link_queue.cc).

    Small frames share an opportunity, and a large one takes several; an opportunity is lost if no frame waits.
    """

    __slots__ = ("_applied", "_at", "_bytes", "_left", "_next", "_overhead", "_period", "_times")

    def __init__(self, trace: Opportunities, overhead: int, applied: int) -> None:
        self._times = trace.times_ns
        self._bytes = trace.frame_bytes
        self._period = trace.period_ns
        self._overhead = overhead
        self._applied = applied
        self._next = 0  # the next unused opportunity
        self._at = applied  # time of the last used one, and its remaining bytes
        self._left = 0

    def starts(self, free: int) -> int:
        """Return the time of the next opportunity."""
        return self._at if self._left and self._at >= free else self._time(self._first(free))

    def ends(self, start: int, size: int) -> int:
        """Return the time of the opportunity that takes the last byte."""
        return self._send(start, size + self._overhead)

    def left(self, now: int) -> int:
        """Return how much of the frame the opportunities after `now` sent."""
        return ((self._next - self._following(now)) * self._bytes - self._left) * BYTE_WORK

    def resume(self, now: int, work: int) -> int:
        """Return the time of the opportunity that takes the last byte."""
        return self._send(self.starts(now), -(-work // BYTE_WORK))

    def _send(self, start: int, size: int) -> int:
        if not self._left or self._at < start:
            self._use(self._first(start))
        while size > self._left:
            size -= self._left
            self._use(self._next)
        self._left -= size
        return self._at

    def _use(self, opportunity: int) -> None:
        self._at = self._time(opportunity)
        self._left = self._bytes
        self._next = opportunity + 1

    def _time(self, opportunity: int) -> int:
        round_, index = divmod(opportunity, len(self._times))
        return self._applied + round_ * self._period + self._times[index]

    def _first(self, now: int) -> int:
        """Return the first unused opportunity that is not before `now`."""
        return self._next if self._time(self._next) >= now else self._following(now - 1)

    def _following(self, now: int) -> int:
        """Return the first opportunity, used or not, that is after `now`."""
        # A period includes its end, where the last opportunity may be.
        round_, into = divmod(now - self._applied, self._period)
        return round_ * len(self._times) + bisect_left(self._times, into + 1)
