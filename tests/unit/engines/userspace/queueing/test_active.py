"""Queues that drop before they are full, under senders that obey them, in virtual time."""

import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.headers import is_l4s
from testbed.engines.userspace.queueing.red import RedQueue
from testbed.engines.userspace.segments import contents
from testbed.engines.userspace.stages.stage import Counts, random_words
from testbed.impairments import Bottleneck, CoDel, DropTail, DualPi2, FixedRate, Impairments, Pie, Red
from tests.counting import counted
from tests.senders import CE, ECT0, ECT1, FRAME_BYTES, MS, S, Sender, quantile, run

SETTLED = 5 * S
MBIT = 10**6


def median_ms(sender):
    return quantile(sender.late_waits_ns(SETTLED), 0.5) / MS


def utilisation(senders, rate, until=20 * S):
    sent = sum(len(sender.late_waits_ns(SETTLED)) for sender in senders) * FRAME_BYTES * 8
    return sent / (rate * (until - SETTLED) / S)


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("rate", [4 * MBIT, 10 * MBIT, 40 * MBIT])
def test_pie_holds_its_target_under_any_number_of_senders(count, rate):
    senders = [Sender() for _ in range(count)]
    link = run(senders, Pie(), rate=rate)
    waits = sorted(wait for sender in senders for wait in sender.late_waits_ns(SETTLED))
    assert 5 * MS < quantile(waits, 0.5) < 30 * MS
    assert quantile(waits, 0.99) < 80 * MS
    assert utilisation(senders, rate) > 0.85
    assert counted(link.stats()).early_drops > 0


def test_pie_holds_another_target():
    senders = [Sender() for _ in range(5)]
    run(senders, Pie(target_ns=60 * MS))
    assert 40 < median_ms(senders[0]) < 90


def test_without_it_the_same_senders_fill_the_queue():
    senders = [Sender() for _ in range(5)]
    run(senders, DropTail(), queue_bytes=200_000)
    assert median_ms(senders[0]) > 100


def test_pie_lets_a_burst_of_150_ms_pass():
    """RFC 8033, 4.4: nothing is dropped at random in the first 150 ms of congestion."""
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8 * MBIT), queue_bytes=10**6, discipline=Pie())), 1, 0
    )
    dropped_at: list[int] = []
    for now in range(0, 1000 * MS, MS // 2):  # twice the rate
        link.accept([bytes(1000)], now)
        link.release(now, 10)
        dropped_at += [now] * (counted(link.stats()).early_drops - len(dropped_at))
    assert dropped_at[0] >= 150 * MS
    assert len(dropped_at) > 50


def test_pie_marks_what_can_be_marked_up_to_a_probability_of_a_tenth():
    sender = Sender(ecn=ECT0, slow_start=False)
    link = run([sender], Pie(ecn=True), rate=40 * MBIT)
    assert sender.marks > 20
    stats = counted(link.stats())
    assert stats.early_drops < stats.marked
    assert 5 < median_ms(sender) < 30


@pytest.mark.parametrize("rate", [10 * MBIT, 40 * MBIT])
@pytest.mark.parametrize("classic_ecn", [0, ECT0])
def test_dualpi2_keeps_l4s_near_its_step_while_classic_goes_at_its_target(rate, classic_ecn):
    classic, scalable = Sender(ecn=classic_ecn), Sender(ecn=ECT1, scalable=True)
    run([classic, scalable], DualPi2(), rate=rate)
    frame_ms = FRAME_BYTES * 8 * S / rate / MS
    assert median_ms(scalable) < 1 + 2 * frame_ms  # a frame that is being sent, and one of the other queue
    assert quantile(scalable.late_waits_ns(SETTLED), 0.99) / MS < 2 + 3 * frame_ms
    assert 5 < median_ms(classic) < 30
    assert scalable.losses <= 1
    assert scalable.marks > 1000
    assert bool(classic.marks) == bool(classic_ecn)
    assert utilisation([classic, scalable], rate) > 0.9


def test_dualpi2_gives_both_kinds_about_the_same():
    """RFC 9332, 2.1: the coupling makes rates of the same order of magnitude, at equal round trips."""
    classic, scalable = Sender(round_trip_ns=20 * MS), Sender(ecn=ECT1, scalable=True, round_trip_ns=35 * MS)
    run([classic, scalable], DualPi2(), rate=40 * MBIT, until=30 * S)
    ratio = len(classic.late_waits_ns(SETTLED)) / len(scalable.late_waits_ns(SETTLED))
    assert 1 / 4 < ratio < 4


def test_dualpi2_does_not_let_l4s_starve_the_other_queue():
    """An L4S sender that ignores marks and sends at the link's rate leaves a tenth at least to the others."""
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8 * MBIT), queue_bytes=50_000, discipline=DualPi2())), 1, 0
    )
    sent = {0: 0, ECT1: 0}
    for now in range(0, 5 * S, MS):
        for ecn in (ECT1, ECT1, 0):
            packet = bytes(12) + b"\x08\x00\x45" + bytes([ecn]) + (986).to_bytes(2, "big") + bytes(982)
            link.accept([packet], now)
        for packet in map(contents, link.release(now, 10)):
            sent[0 if packet[15] == 0 else ECT1] += 1
    assert sent[0] > 0.08 * sum(sent.values())
    assert counted(link.stats()).early_drops > 0  # overload: both are dropped


def test_red_holds_its_average_between_its_thresholds():
    senders = [Sender() for _ in range(5)]
    run(senders, Red(min_bytes=15_000, max_bytes=45_000))
    byte_ms = 8 / 10_000
    waits = sorted(wait for sender in senders for wait in sender.late_waits_ns(SETTLED))
    assert 10_000 * byte_ms < quantile(waits, 0.5) / MS < 45_000 * byte_ms


@pytest.mark.parametrize(
    ("length", "gentle", "least", "most"),
    [(9, True, 0, 0), (15, True, 0.05, 0.11), (22, True, 0.19, 0.45), (41, True, 1, 1), (21, False, 1, 1)],
)
def test_red_drops_what_the_average_says(length, gentle, least, most):
    """At min nothing, at max a tenth, at twice that all, or all at max; spread evenly, up to twice as often (7)."""
    red = Red(min_bytes=10_000, max_bytes=20_000, gentle=gentle)
    counts = Counts()
    queue = RedQueue(red, 8 * MBIT, counts, random_words("1", "red"))
    queue.adopt([(0, bytes(1000))] * length)
    for number in range(30_000):
        if number == 10_000:  # the average has reached the length
            counts.early_drops = 0
        queue.enqueue(bytes(1000), 0, 10**6)
        if len(queue) > length:
            queue.dequeue(0)
    assert least <= counts.early_drops / 20_000 <= most


def test_a_change_of_discipline_keeps_what_waits():
    for discipline in (Pie(), DualPi2(), Red(min_bytes=1000, max_bytes=3000), CoDel()):
        link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8 * MBIT), queue_bytes=10**6)), 1, 0)
        link.accept([number.to_bytes(4, "big") + bytes(996) for number in range(100)], 0)
        link.replace(
            Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8 * MBIT), queue_bytes=2000, discipline=discipline)), 0
        )
        assert link.stats().in_flight == 100
        out = []
        while (wakeup := link.next_wakeup()) is not None:
            out += [int.from_bytes(packet[:4], "big") for packet in map(contents, link.release(wakeup, 1))]
        if isinstance(discipline, Pie | Red):  # the others drop from the head what has waited
            assert out == list(range(100))


def test_l4s_is_what_has_ect1_or_ce(frames):
    for ipv6 in (False, True):
        found = [is_l4s(frames.make("udp", tos=ecn, ipv6=ipv6)) for ecn in (0, ECT1, ECT0, CE)]
        assert found == [False, True, False, True]
    assert not is_l4s(frames.make("arp"))
