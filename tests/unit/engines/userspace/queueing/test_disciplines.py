from itertools import pairwise

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import (
    Bottleneck,
    CoDel,
    FixedRate,
    Impairments,
)

MS = 10**6
RATE = 8_000_000  # 1000 bytes in 1 ms
FRAME = bytes(1000)


def overloaded(link, until, interval, packet=FRAME, begin=0):
    """What leaves, with when it came, while a packet comes every `interval`."""
    out = []
    for now in range(begin, until, interval):
        link.accept([packet[:-8] + now.to_bytes(8, "big")], now)
        while (wakeup := link.next_wakeup()) is not None and wakeup <= now:
            out += [(wakeup, int.from_bytes(sent[-8:], "big"), sent) for sent in link.release(wakeup, 1)]
    return out


def codel(**more):
    return LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=10**7, discipline=CoDel(**more))), 1, 0
    )


def test_codel_keeps_packets_that_wait_less_than_the_target():
    link = codel()
    assert len(overloaded(link, 1000 * MS, MS)) == 999
    for now in range(1000 * MS, 2000 * MS, 20 * MS):
        link.accept([FRAME] * 4, now)  # a short burst each time
        link.release(now, 100)
    assert link.stats().early_drops == 0


def test_codel_drops_first_an_interval_after_the_target_was_passed_then_ever_more_often():
    """At 1.25 times the rate: the queue grows, and drop n + 1 comes interval / sqrt(n) after drop n."""
    link = codel()
    drops, times = 0, []
    for now in range(0, 1000 * MS, MS * 4 // 5):
        link.accept([FRAME], now)
        while (wakeup := link.next_wakeup()) is not None and wakeup <= now:
            link.release(wakeup, 1)
            times += [wakeup] * (link.stats().early_drops - drops)
            drops = link.stats().early_drops
    above = next(now for now in range(0, 1000 * MS, MS) if now - now * 4 // 5 >= 5 * MS)
    assert abs(times[0] - (above + 100 * MS)) <= 3 * MS
    for count, (one, other) in enumerate(pairwise(times[:9]), 1):
        assert abs(other - one - 100 * MS / count**0.5) <= 3 * MS


def test_codel_brings_the_standing_queue_of_a_flow_that_obeys_down_to_its_target():
    """A sender that keeps a window in flight: on a drop it halves it, else it grows by a packet per round trip."""

    def waits(link):
        window, in_flight, waited = 40.0, 0, []
        events: list[int] = []
        now = 0
        while now < 20_000 * MS:
            drops = link.stats().early_drops
            while in_flight < int(window):
                link.accept([FRAME[:-8] + now.to_bytes(8, "big")], now)
                in_flight += 1
            wakeup = link.next_wakeup()
            now = min([wakeup] * (wakeup is not None) + events[:1])
            for sent in link.release(now, 1):
                waited.append(now - int.from_bytes(sent[-8:], "big"))
                events.append(now + 20 * MS)  # when the acknowledgement comes
            lost = link.stats().early_drops - drops
            in_flight -= lost
            window = max(window / 2, 2) if lost else window
            while events and events[0] <= now:
                events.pop(0)
                in_flight -= 1
                window += 1 / window
            assert in_flight >= 0
        return waited[len(waited) // 2 :]

    controlled = sorted(waits(codel()))
    assert controlled[len(controlled) // 2] < 15 * MS
    free = sorted(
        waits(LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=10**7)), 1, 0))
    )
    assert free[len(free) // 2] > 100 * MS


def test_codel_marks_ecn_capable_packets_and_drops_others(frames):
    capable, other = (frames.make("udp", tos=tos, payload=bytes(1000 - 42)) for tos in (0b10, 0))
    link = codel(ecn=True)
    out = overloaded(link, 1000 * MS, MS * 4 // 5, capable)
    stats = link.stats()
    assert stats.marked == sum(packet[15] == 0b11 for _, _, packet in out) > 10
    assert stats.early_drops == 0
    link = codel(ecn=True)
    overloaded(link, 1000 * MS, MS * 4 // 5, other)
    assert link.stats().early_drops > 10
    assert link.stats().marked == 0
