"""A queue and a transmitter of constant rate in virtual time, computed directly; see `bottleneck`."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, final

from testbed.engines.userspace.lines import Contents
from testbed.engines.userspace.queueing.transmitters import BYTE_WORK
from testbed.engines.userspace.segments import KEPT_LEAST, SegmentTrain

if TYPE_CHECKING:
    from testbed.engines.userspace.stages.stage import Counts, Frame
    from testbed.impairments import Bottleneck


@final
class _Ramp:
    """The packets of a train, all of the same size, that are sent one after the other.

    Args:
        train: the packets.
        came: when they reached the queue.
        start: when the first bit is sent.
        carry: the work of less than a nanosecond that is left from the packet before (`transmitters.BYTE_WORK`).
        work: of sending one of them.
        rate_bps: of the transmitter.
    """

    __slots__ = ("came", "carry", "rate_bps", "size", "start", "train", "work")

    def __init__(self, train: SegmentTrain, *, came: int, start: int, carry: int, work: int, rate_bps: int) -> None:
        self.train = train
        self.came = came
        self.size = len(train) // train.count
        self.start = start
        self.carry = carry
        self.work = work
        self.rate_bps = rate_bps

    def end(self, number: int) -> tuple[int, int]:
        """Return when the first `number` packets are sent, and the carry then."""
        duration, carry = divmod(self.carry + number * self.work, self.rate_bps)
        return self.start + duration, carry

    def sent(self, now: int) -> int:
        """Return how many packets are sent by `now`, which is not before the start."""
        number = ((now - self.start + 1) * self.rate_bps - 1 - self.carry) // self.work
        return min(number, self.train.count)

    def part(self, first: int, stop: int) -> _Ramp:
        """Return those packets from `first` to before `stop`."""
        start, carry = self.end(first)
        train = self.train.part(first, stop)
        return _Ramp(train, came=self.came, start=start, carry=carry, work=self.work, rate_bps=self.rate_bps)


class ConstantRateBottleneck:
    """A line with a transmitter of constant rate behind a droptail queue, for frames that arrive in order; also trains.

    Fractions of a nanosecond are carried from frame to frame, so that a busy transmitter keeps the rate exactly.

    Args:
        bottleneck: of the link, with a fixed rate and a droptail queue.
        counts: of the link.
        now: when the bottleneck begins.
        contents: the frames that it takes over.
    """

    __slots__ = (
        "_carry",
        "_coming",
        "_counts",
        "_free_ns",
        "_out",
        "_overhead_bytes",
        "_queue_bytes",
        "_rate_bps",
        "_waiting",
        "_waiting_bytes",
        "_waiting_more",
    )

    def __init__(self, bottleneck: Bottleneck, counts: Counts, now: int, contents: Contents) -> None:
        self._rate_bps = bottleneck.rate.mean_bps
        self._queue_bytes = bottleneck.queue_bytes
        self._overhead_bytes = bottleneck.overhead_bytes
        self._counts = counts
        self._coming = deque(contents.coming)  # have not reached the queue yet
        # When their last bit is sent, of a ramp that of its first packet.
        self._out: deque[Frame | tuple[int, _Ramp]] = deque(contents.sent)
        self._free_ns = now  # when the transmitter becomes free, and the fraction of a ns carried over
        self._carry = 0
        # Waiting frames: when their first bit is sent, bytes, arrival, and the carry before them; of a ramp these are
        # those of its first packet.
        self._waiting: deque[tuple[int, int, int, int, _Ramp | None]] = deque()
        self._waiting_bytes = 0
        self._waiting_more = 0  # packets of ramps besides the first of each
        if contents.sending is not None:
            work, packet = contents.sending
            duration, self._carry = divmod(work, self._rate_bps)
            self._free_ns += duration
            self._out.append((self._free_ns, packet))
        for came, packet in contents.waiting:
            self._waiting.append((self._free_ns, len(packet), came, self._carry, None))
            self._waiting_bytes += len(packet)
            duration, self._carry = divmod(self._work(len(packet)) + self._carry, self._rate_bps)
            self._free_ns += duration
            self._out.append((self._free_ns, packet))

    def _work(self, size: int) -> int:
        """Return the work of sending a packet of so many bytes."""
        return (size + self._overhead_bytes) * BYTE_WORK

    def add(self, frames: list[Frame]) -> None:
        """Add frames, each with the time at which it reaches the queue, no earlier than those before."""
        self._coming.extend(frames)

    def next_wakeup(self) -> int | None:
        """Return when the first frame is sent; None if the line is empty."""
        if self._out:
            return self._out[0][0]
        if not self._coming:
            return None
        due, packet = self._coming[0]
        size = len(packet.part(0, 1)) if type(packet) is SegmentTrain else len(packet)
        work = self._work(size) + (0 if due > self._free_ns else self._carry)
        return max(due, self._free_ns) + work // self._rate_bps

    def take(self, now: int, most: int) -> list[Frame]:
        """Remove and return the frames sent by `now`; of the packets of a train those sent by then, as one."""
        if self._coming:
            self._run(now)
        out = self._out
        taken: list[Frame] = []
        while out and out[0][0] <= now and len(taken) < most:
            due, packet = out.popleft()
            if type(packet) is not _Ramp:
                taken.append((due, packet))
                continue
            count = packet.sent(now)
            train = packet.train
            if count < train.count:
                rest = packet.part(count, train.count)
                out.appendleft((rest.end(1)[0], rest))
                train = train.part(0, count)
            train.span_ns = packet.end(count)[0] - due
            taken.append((due, train))
        return taken

    def hand_over(self, now: int) -> Contents:
        """Remove and return everything that the bottleneck holds at `now`."""
        self._run(now)
        out: list[Frame] = []
        for due, packet in self._out:
            if type(packet) is _Ramp:
                train = packet.train
                out += [(packet.end(number + 1)[0], train.part(number, number + 1)) for number in range(train.count)]
            else:
                out.append((due, packet))
        queued: list[tuple[int, int, int]] = []  # when their first bit is sent, arrival, and the carry before them
        for start, _, came, carry, ramp in self._waiting:
            if ramp is None:
                queued.append((start, came, carry))
            else:
                starts = map(ramp.end, range(ramp.train.count))
                queued += [(begun, came, left) for begun, left in starts]
        sent = [frame for frame in out if frame[0] <= now]
        waiting = [(came, carry) for start, came, carry in queued if start > now]
        unsent = out[len(sent) :]
        sending, packets = unsent[: len(unsent) - len(waiting)], unsent[len(unsent) - len(waiting) :]
        carry = waiting[0][1] if waiting else self._carry
        return Contents(
            sent=sent,
            sending=next((((end - now) * self._rate_bps + carry, packet) for end, packet in sending), None),
            waiting=[(came, packet) for (came, _), (_, packet) in zip(waiting, packets, strict=True)],
            coming=list(self._coming),
        )

    def queued(self, now: int) -> tuple[int, int]:
        """Return how many packets and bytes waited at `now`, of those that `take` has seen reach the queue."""
        count, waiting_bytes = len(self._waiting) + self._waiting_more, self._waiting_bytes
        for _, size, _, _, ramp in takewhile(lambda entry: entry[0] <= now, self._waiting):
            begun = min(ramp.sent(now) + 1, ramp.train.count) if ramp else 1
            count -= begun
            waiting_bytes -= begun * size
        return count, waiting_bytes

    def _run(self, now: int) -> None:
        """Process the frames that reach the queue by `now`."""
        rate = self._rate_bps
        overhead = self._overhead_bytes
        free = self._free_ns
        carry = self._carry
        waiting = self._waiting
        waiting_bytes = self._waiting_bytes
        most = self._counts.queue_most_bytes
        coming = self._coming
        sent = self._out.append
        while coming and coming[0][0] <= now:
            due, packet = coming.popleft()
            while waiting and waiting[0][0] <= due:
                entry = waiting.popleft()
                waiting_bytes -= self._begin(entry[4], due) if entry[4] else entry[1]
            if type(packet) is SegmentTrain and packet.count > 1:
                self._free_ns, self._carry, self._waiting_bytes = free, carry, waiting_bytes
                self._send(packet, due)
                free, carry, waiting_bytes = self._free_ns, self._carry, self._waiting_bytes
                most = max(most, waiting_bytes)
                continue
            size = len(packet)
            if free < due:
                free = due
                carry = 0
            elif free > due:
                if waiting_bytes + size > self._queue_bytes:
                    self._counts.drop_full(packet)
                    continue
                waiting.append((free, size, due, carry, None))
                waiting_bytes += size
                most = max(most, waiting_bytes)
            duration, carry = divmod((size + overhead) * BYTE_WORK + carry, rate)
            free += duration
            sent((free, packet))
        self._free_ns = free
        self._carry = carry
        self._waiting_bytes = waiting_bytes
        self._counts.queue_most_bytes = most

    def _begin(self, ramp: _Ramp, due: int) -> int:
        """Return the bytes of those packets that begin to be sent by `due`, at least the first; the others wait on."""
        count = ramp.train.count
        begun = min(ramp.sent(due) + 1, count)
        if begun < count:
            rest = ramp.part(begun, count)
            self._waiting.appendleft((rest.start, ramp.size, ramp.came, rest.carry, rest))
        self._waiting_more -= begun - (begun == count)
        return begun * ramp.size

    def _send(self, train: SegmentTrain, due: int) -> None:
        """Send or queue the packets of a train that reaches the queue at `due`; drop those that do not fit."""
        for part in train.even():
            size = len(part) // part.count
            work = self._work(size)
            first = 0
            while first < part.count and self._free_ns <= due:  # these are not queued
                if self._free_ns < due:
                    self._free_ns, self._carry = due, 0
                duration, self._carry = divmod(work + self._carry, self._rate_bps)
                self._free_ns += duration
                self._out.append((self._free_ns, part.part(first, first + 1)))
                first += 1
            stop = min(first + (self._queue_bytes - self._waiting_bytes) // size, part.count)
            stop = max(stop, first)  # a queue that was taken over may hold more than fits into this one
            if first < stop:
                free, carry = self._free_ns, self._carry
                queued = part.part(first, stop)
                if stop - first < part.source.packets * KEPT_LEAST:
                    queued = queued.alone()
                ramp = _Ramp(queued, came=due, start=free, carry=carry, work=work, rate_bps=self._rate_bps)
                self._waiting.append((free, size, due, carry, ramp))
                self._waiting_more += stop - first - 1
                self._waiting_bytes += size * (stop - first)
                self._out.append((ramp.end(1)[0], ramp))
                self._free_ns, self._carry = ramp.end(stop - first)
            if stop < part.count:
                self._counts.drop_full(part.part(stop, part.count))
