"""A slow, obvious model of a link with all its stages, which sees all frames before it begins."""

from fractions import Fraction
from itertools import repeat
from math import isqrt
from random import Random

from testbed.impairments import (
    Blackhole,
    CoDel,
    DropHead,
    FixedRate,
    FourState,
    GilbertElliott,
    Opportunities,
    RateSteps,
)
from testbed.impairments.distributions import quantiles


class ObviousLink:
    def __init__(self, impairments, seed):
        self.impairments = impairments
        self.seed = seed

    def words(self, stage, correlation=0):
        draw = Random(f"{self.seed}:0:{stage}").getrandbits
        last = draw(32) if correlation else 0
        while True:
            last = (draw(32) * (2**32 - correlation) + last * correlation) // 2**32
            yield last

    def out(self, frames):
        """(time, number) of what leaves, from (time, number, size) of what comes."""
        frames = [frame for place, frame in enumerate(frames, 1) if not self.scripted(place)]
        frames = [frame for frame, lost in zip(frames, self.losses(), strict=False) if not lost]
        if self.impairments.duplicate:
            words = self.words("duplicate", self.impairments.duplicate.correlation)
            frames = [
                frame
                for original in frames
                for frame in [original] * (1 + (next(words) < self.impairments.duplicate.probability))
            ]
        frames = sorted(self.delayed(frames), key=lambda frame: frame[0])
        if self.impairments.bottleneck:
            frames = self.sent(frames)
        return [(time, number) for time, number, _ in frames]

    def scripted(self, place):
        return any(place in drop.numbers or (drop.every and place % drop.every == 0) for drop in self.impairments.drops)

    def losses(self):
        model = self.impairments.loss
        if model is None or isinstance(model, Blackhole):
            return repeat(model is not None)
        return self.random_losses(model)

    def random_losses(self, model):
        match model:
            case GilbertElliott():
                words, good = self.words("loss"), True
                while True:
                    good ^= next(words) < (model.to_bad if good else model.to_good)
                    yield next(words) < (model.loss_good if good else model.loss_bad)
            case FourState():
                state = 1
                for word in self.words("loss"):
                    match state:
                        case 1:
                            state = 4 if word < model.p14 else 3 if word < model.p14 + model.p13 else 1
                        case 2:
                            state = 3 if word < model.p23 else 2
                        case 3:
                            state = 2 if word < model.p32 else 1 if word < model.p32 + model.p31 else 3
                        case 4:
                            state = 1
                    yield state in (3, 4)
            case _:
                for word in self.words("loss", getattr(model, "correlation", 0)):
                    yield word < model.probability

    def delayed(self, frames):
        impairments, jitter, reorder = self.impairments, self.impairments.jitter, self.impairments.reorder
        deviations = self.words("jitter", jitter.correlation if jitter else 0)
        choice = self.words("reorder", reorder.event.correlation if reorder else 0)
        last, unchosen = 0, 0
        for now, number, size in frames:
            hold = impairments.delay_ns
            if jitter and jitter.distribution == "uniform":
                hold += next(deviations) * (2 * jitter.ns + 1) // 2**32 - jitter.ns
            elif jitter:
                table = quantiles(jitter.distribution)
                deviation = Fraction(table[next(deviations) * len(table) // 2**32] * jitter.ns, 8192)
                hold = max(hold + (1 if deviation > 0 else -1) * int(abs(deviation) + Fraction(1, 2)), 0)
            chosen = False
            if reorder:
                unchosen += 1
                if unchosen >= reorder.gap and next(choice) < reorder.event.probability:
                    chosen, unchosen = True, 0
            if chosen:
                yield now + hold + reorder.late_ns if reorder.late_ns else now, number, size
            elif not jitter or jitter.keeps_order:
                last = max(last, now + hold)
                yield last, number, size
            else:
                yield now + hold, number, size

    def sent(self, coming):
        """Time stops wherever a frame comes or could be sent."""
        queue: list[tuple[int, tuple[int, int, int]]] = []
        out = []
        bottleneck = self.impairments.bottleneck
        codel = ObviousCoDel(bottleneck.discipline) if isinstance(bottleneck.discipline, CoDel) else None
        traced = isinstance(bottleneck.rate, Opportunities)
        transmitter = ObviousTrace(bottleneck.rate) if traced else ObviousSteps(bottleneck.rate)
        clock = 0
        while coming or queue:
            start = transmitter.start(clock)
            if queue and (not coming or start <= coming[0][0]):
                clock = start
                frame = codel.deque(queue, clock) if codel else queue.pop(0)[1]
                if frame:
                    out.append((transmitter.send(clock, frame[2] + bottleneck.overhead_bytes), *frame[1:]))
                continue
            frame = coming.pop(0)
            clock = frame[0]
            if codel:
                codel.maxpacket = max(codel.maxpacket, frame[2])
            waiting = sum(waits[2] for _, waits in queue)
            free = not queue and transmitter.start(clock) == clock
            if isinstance(bottleneck.discipline, DropHead):
                while queue and frame[2] <= bottleneck.queue_bytes < waiting + frame[2]:
                    waiting -= queue.pop(0)[1][2]
            if free or waiting + frame[2] <= bottleneck.queue_bytes:
                queue.append((clock, frame))
        return out


class ObviousSteps:
    """Adds up bits rate by rate."""

    def __init__(self, rate):
        fixed = isinstance(rate, FixedRate)
        self.trace = RateSteps(starts_ns=(0,), rates_bps=(rate.bps,), period_ns=1) if fixed else rate
        self.end = Fraction(0)

    def step(self, now):
        into = now % self.trace.period_ns
        index = max(index for index, begin in enumerate(self.trace.starts_ns) if begin <= into)
        ends = (*self.trace.starts_ns, self.trace.period_ns)[index + 1]
        return self.trace.rates_bps[index], now - into + ends

    def start(self, clock):
        now = max(clock, int(self.end))
        while not self.step(now)[0]:
            now = self.step(now)[1]
        return now

    def send(self, start, size):
        now = max(Fraction(start), self.end)
        bits = Fraction(size * 8 * 10**9)
        while bits:
            rate, until = self.step(now)
            if (rate and now + bits / rate <= until) or len(self.trace.rates_bps) == 1:
                now += bits / rate
                break
            bits -= rate * (until - now)
            now = until
        self.end = now
        return int(now)


class ObviousTrace:
    """Goes through all opportunities from the first."""

    def __init__(self, trace):
        self.opportunities = [
            [turn * trace.period_ns + time, trace.frame_bytes] for turn in range(500) for time in trace.times_ns
        ]
        self.end = 0

    def start(self, clock):
        return next(time for time, left in self.opportunities if left and time >= max(clock, self.end))

    def send(self, start, size):
        while not self.opportunities[0][1] or self.opportunities[0][0] < start:
            self.opportunities.pop(0)
        for one in self.opportunities:
            used = min(size, one[1])
            one[1] -= used
            size -= used
            if not size:
                self.end = one[0]
                return self.end
        raise AssertionError("more opportunities are needed")


class ObviousCoDel:
    """The pseudo-code of RFC 8289, section 5, line by line."""

    def __init__(self, discipline):
        self.target, self.interval = discipline.target_ns, discipline.interval_ns
        self.first_above_time = self.drop_next = self.count = self.lastcount = self.maxpacket = 0
        self.dropping = False

    def dodeque(self, queue, now):
        if not queue:
            self.first_above_time = 0
            return None, False
        tstamp, packet = queue.pop(0)
        ok_to_drop = False
        if now - tstamp < self.target or sum(frame[2] for _, frame in queue) <= self.maxpacket:
            self.first_above_time = 0
        elif self.first_above_time == 0:
            self.first_above_time = now + self.interval
        elif now >= self.first_above_time:
            ok_to_drop = True
        return packet, ok_to_drop

    def control_law(self, time):
        return time + self.interval * 2**32 // isqrt(self.count * 2**64)

    def deque(self, queue, now):
        packet, ok_to_drop = self.dodeque(queue, now)
        if self.dropping:
            if not ok_to_drop:
                self.dropping = False
            while now >= self.drop_next and self.dropping:
                self.count += 1
                packet, ok_to_drop = self.dodeque(queue, now)
                if not ok_to_drop:
                    self.dropping = False
                else:
                    self.drop_next = self.control_law(self.drop_next)
        elif ok_to_drop:
            packet, ok_to_drop = self.dodeque(queue, now)
            self.dropping = True
            delta = self.count - self.lastcount
            self.count = 1
            if delta > 1 and now - self.drop_next < 16 * self.interval:
                self.count = delta
            self.drop_next = self.control_law(now)
            self.lastcount = self.count
        return packet
