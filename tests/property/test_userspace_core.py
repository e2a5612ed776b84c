"""The emulator against a slow, obvious model of the same link."""

from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from testbed.check.capacity import bottleneck_of
from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import (
    CERTAIN,
    CLEAR,
    Bottleneck,
    FixedRate,
    Impairments,
    IndependentLoss,
    Jitter,
)
from tests.counting import counted


def probability(impairments):
    assert isinstance(impairments.loss, IndependentLoss)
    return impairments.loss.probability


def rate_of(impairments):
    return impairments.bottleneck.rate.bps if impairments.bottleneck else 0


class ObviousLink:
    """Keeps every frame for ever and adds up the queue anew each time."""

    def __init__(self, seed):
        self.seed = seed
        self.generation = -1
        self.impairments = CLEAR
        self.due = 0
        self.end = Fraction(0)  # of the last transmission
        self.coming = []  # (time, number, bytes) of every frame that has not reached the bottleneck
        self.sent = []  # [start, end, bytes, number] of every transmission, begun or not

    def accept(self, number, size, now):
        impairments = self.impairments
        if impairments.loss and self.loss.getrandbits(32) < probability(impairments):
            return
        hold = impairments.delay_ns
        if impairments.jitter_ns:
            hold += self.jitter.getrandbits(32) * (2 * impairments.jitter_ns + 1) // 2**32 - impairments.jitter_ns
        self.due = max(self.due, now + hold)
        self.coming.append((self.due, number, size))

    def _transmit(self, start, bits):
        rate_bps = rate_of(self.impairments)
        self.end = start + (Fraction(bits * 10**9, rate_bps) if rate_bps else 0)
        return self.end

    def run(self, until):
        while self.coming and self.coming[0][0] <= until:
            due, number, size = self.coming.pop(0)
            start = max(Fraction(due), self.end)
            waiting = sum(bytes_ for begin, _, bytes_, _ in self.sent if int(begin) > due)
            if int(start) == due or waiting + size <= bottleneck_of(self.impairments).queue_bytes:
                self.sent.append([start, self._transmit(start, 8 * size), size, number])

    def replace(self, impairments, now):
        self.generation += 1
        self.loss = Random(f"{self.seed}:{self.generation}:loss")
        self.jitter = Random(f"{self.seed}:{self.generation}:jitter")
        self.run(now)
        old_bps = rate_of(self.impairments)
        self.impairments, self.end = impairments, Fraction(now)
        for frame in self.sent:
            start, end, size, _ = frame
            if int(end) <= now:
                continue
            bits = (end - now) * old_bps / 10**9 if int(start) <= now else 8 * size
            frame[0] = start if int(start) <= now else self.end
            frame[1] = self._transmit(self.end, bits)

    def out(self):
        self.run(float("inf"))
        return [(int(end), number) for _, end, _, number in self.sent]


@st.composite
def all_impairments(draw):
    delay = draw(st.sampled_from([0, 1, 1000, 10**6]) | st.integers(0, 10**7))
    jitter = draw(st.integers(0, delay))
    loss = draw(st.sampled_from([0, CERTAIN]) | st.integers(0, CERTAIN))
    bottlenecks = st.builds(
        Bottleneck, rate=st.builds(FixedRate, bps=st.integers(1, 10**10)), queue_bytes=st.integers(1, 5000)
    )
    return Impairments(
        delay_ns=delay,
        jitter=Jitter(ns=jitter) if jitter else None,
        loss=IndependentLoss(probability=loss) if loss else None,
        bottleneck=draw(st.none() | bottlenecks),
    )


arrivals = st.tuples(st.integers(0, 2 * 10**6), st.integers(4, 1514))  # ns after the one before, bytes
steps = st.lists(arrivals | all_impairments() | st.none(), max_size=60)  # None: the process wakes


def released(link, until):
    while (wakeup := link.next_wakeup()) is not None and (until is None or wakeup <= until):
        (packet,) = link.release(wakeup if until is None else until, 1)
        yield wakeup, int.from_bytes(packet[:4], "big")


@given(first=all_impairments(), steps=steps, seed=st.integers(0, 2**64 - 1))
def test_the_emulator_does_what_the_obvious_model_does(first, steps, seed):
    link, model = LinkEmulator(first, seed, 0), ObviousLink(seed)
    model.replace(first, 0)
    now, number, out = 0, 0, []
    for step in steps:
        match step:
            case Impairments():
                link.replace(step, now)
                model.replace(step, now)
            case None:
                out += released(link, now)
            case wait, size:
                now += wait
                link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
                model.accept(number, size, now)
                number += 1
    out += released(link, None)
    assert out == model.out()
    stats = counted(link.stats())
    assert stats.packets_in == number
    assert stats.packets_out == len(out)
    assert stats.lost + stats.queue_drops + len(out) == number
    assert stats.in_flight == 0


@given(impairments=all_impairments(), sizes=st.lists(st.integers(4, 1514), max_size=40), seed=st.integers(0, 2**64 - 1))
def test_a_batch_is_the_same_as_one_frame_after_another(impairments, sizes, seed):
    frames = [number.to_bytes(4, "big") + bytes(size - 4) for number, size in enumerate(sizes)]
    together, apart = LinkEmulator(impairments, seed, 0), LinkEmulator(impairments, seed, 0)
    together.accept(frames, 5)
    for frame in frames:
        apart.accept([frame], 5)
    assert list(released(together, None)) == list(released(apart, None))


@given(impairments=all_impairments(), arrivals=st.lists(arrivals, max_size=60), seed=st.integers(0, 2**64 - 1))
def test_frames_leave_in_order_and_never_before_their_time(impairments, arrivals, seed):
    link, now, arrived = LinkEmulator(impairments, seed, 0), 0, []
    for number, (wait, size) in enumerate(arrivals):
        now += wait
        arrived.append(now)
        link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
    out = list(released(link, None))
    assert out == sorted(out)
    assert [number for _, number in out] == sorted({number for _, number in out})
    assert all(time >= arrived[number] + impairments.delay_ns - impairments.jitter_ns for time, number in out)
