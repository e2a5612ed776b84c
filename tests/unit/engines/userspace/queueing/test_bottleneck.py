import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.lines import Contents, InOrder
from testbed.engines.userspace.queueing.bottleneck import EventDrivenBottleneck
from testbed.engines.userspace.queueing.constant_rate import ConstantRateBottleneck
from testbed.engines.userspace.stages.stage import Counts
from testbed.impairments import (
    CLEAR,
    Bottleneck,
    CoDel,
    Discipline,
    DropHead,
    DropTail,
    FixedRate,
    FqCoDel,
    Impairments,
    Opportunities,
    RateSteps,
    Times,
)

MS = 10**6
RATE = 8_000_000  # 1000 bytes in 1 ms
DISCIPLINES: dict[str, Discipline] = {
    "droptail": DropTail(),
    "drophead": DropHead(),
    "codel": CoDel(),
    "fq_codel": FqCoDel(),
}


def numbered(count, size=1000):
    return [number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)]


def drain(link):
    out = []
    while (wakeup := link.next_wakeup()) is not None:
        out += [(wakeup, int.from_bytes(packet[:4], "big")) for packet in link.release(wakeup, 1)]
    return out


def test_both_bottlenecks_are_the_same_for_droptail():
    bottleneck = Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=3500, overhead_bytes=13)
    frames = [(place * place * 7919 % 400_000 + place * 300_000, packet) for place, packet in enumerate(numbered(500))]
    frames.sort(key=lambda frame: frame[0])
    counts, eventful_counts = Counts(), Counts()
    straight = ConstantRateBottleneck(bottleneck, counts, 0, Contents())
    eventful = EventDrivenBottleneck(bottleneck, "1", eventful_counts, InOrder(), now=0, applied=0, contents=Contents())
    eventful.add(frames)
    straight.add(frames)
    assert eventful.take(1 << 60, 500) == straight.take(1 << 60, 500)
    assert 0 < counts.queue_drops == eventful_counts.queue_drops
    assert counts.queue_most_bytes == eventful_counts.queue_most_bytes


@pytest.mark.parametrize(("name", "left"), [("droptail", [0, 1, 2]), ("drophead", [0, 3, 4]), ("codel", [0, 1, 2])])
def test_a_full_queue_drops_the_newest_or_the_oldest(name, left):
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=2000, discipline=DISCIPLINES[name])),
        1,
        0,
    )
    for number, frame in enumerate(numbered(5)):
        link.accept([frame], number)
    assert [number for _, number in drain(link)] == left
    stats = link.stats()
    assert stats.queue_drops == 2
    assert stats.queue_most_bytes == 2000


def test_drophead_does_not_empty_the_queue_for_a_frame_that_can_never_fit():
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=1500, discipline=DropHead())), 1, 0
    )
    link.accept(numbered(2), 0)
    link.accept([bytes(2000)], 1)
    assert [number for _, number in drain(link)] == [0, 1]


def test_frames_wait_for_an_opportunity_in_the_queue():
    trace = Opportunities(times_ns=Times((10 * MS,)), frame_bytes=1500, period_ns=10 * MS)
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=trace, queue_bytes=2000)), 1, 0)
    link.accept(numbered(3), MS)
    assert drain(link) == [(10 * MS, 0), (20 * MS, 1)]
    assert link.stats().queue_drops == 1


def test_a_trace_begins_when_the_impairments_are_applied():
    trace = Opportunities(times_ns=Times((3 * MS,)), frame_bytes=1500, period_ns=10 * MS)
    link = LinkEmulator(CLEAR, 1, 0)
    link.replace(Impairments(bottleneck=Bottleneck(rate=trace, queue_bytes=2000)), 100 * MS)
    link.accept(numbered(1), 100 * MS)
    assert drain(link) == [(103 * MS, 0)]


EVERY = pytest.mark.parametrize("name", ["droptail", "drophead", "codel", "fq_codel"])
TRACE = Opportunities(times_ns=Times((10 * MS,)), frame_bytes=1000, period_ns=10 * MS)
STEPS = RateSteps(starts_ns=(0, 1000 * MS), rates_bps=(RATE, RATE), period_ns=2000 * MS)


def queued(name="droptail", queue_bytes=5000, *, rate, delay_ns=0):
    bottleneck = Bottleneck(rate=rate, queue_bytes=queue_bytes, discipline=DISCIPLINES[name])
    return Impairments(delay_ns=delay_ns, bottleneck=bottleneck)


@EVERY
@pytest.mark.parametrize("before", ["droptail", "drophead", "codel", "fq_codel"])
@pytest.mark.parametrize(("factor", "times"), [(10, [550, 650, 750, 850]), (0.5, [1500, 3500, 5500, 7500])])
def test_a_backlog_is_sent_at_the_new_rate(before, name, factor, times):
    link = LinkEmulator(queued(before, rate=FixedRate(bps=RATE)), 1, 0)
    link.accept(numbered(4), 0)  # one is sent, three wait
    link.replace(queued(name, rate=FixedRate(bps=int(RATE * factor))), MS // 2)  # half of the first is sent
    assert drain(link) == [(time * MS // 1000, number) for number, time in enumerate(times)]
    assert link.stats().queue_drops == 0


@EVERY
def test_frames_that_wait_at_a_change_count_in_the_new_queue_and_none_of_them_is_dropped(name):
    link = LinkEmulator(queued(rate=FixedRate(bps=RATE)), 1, 0)
    frames = numbered(9)
    link.accept(frames[:4], 0)  # one is sent, three wait
    link.replace(queued(name, 2000, rate=FixedRate(bps=2 * RATE)), MS // 2)
    assert link.release(MS // 2, 9) == []
    assert link.stats().in_flight == 4
    assert link.stats().queue_drops == 0
    link.accept(frames[4:5], 2 * MS)  # all but one have left the queue
    assert sorted(number for _, number in drain(link)) == [0, 1, 2, 3, 4]
    assert link.stats().packets_out == 5


def test_a_smaller_queue_accepts_no_frame_until_it_has_room():
    link = LinkEmulator(queued(rate=FixedRate(bps=RATE)), 1, 0)
    frames = numbered(7)
    link.accept(frames[:4], 0)
    link.replace(queued(queue_bytes=1000, rate=FixedRate(bps=RATE)), MS // 2)
    link.accept(frames[4:5], MS // 2)
    link.accept(frames[5:], 3 * MS)  # the last of those that waited is sent from now on
    assert drain(link) == [(MS, 0), (2 * MS, 1), (3 * MS, 2), (4 * MS, 3), (5 * MS, 5)]
    assert link.stats().queue_drops == 2


@pytest.mark.parametrize("first", [FixedRate(bps=RATE), STEPS])
def test_frames_still_delayed_at_a_change_meet_the_new_bottleneck(first):
    link = LinkEmulator(queued(queue_bytes=1000, delay_ns=50 * MS, rate=first), 1, 0)
    link.accept(numbered(4), 0)  # of which the old bottleneck would drop two
    link.replace(queued(queue_bytes=10_000, delay_ns=50 * MS, rate=FixedRate(bps=10 * RATE)), 20 * MS)
    assert drain(link) == [(50 * MS + MS * number // 10, number - 1) for number in (1, 2, 3, 4)]


def test_a_backlog_leaves_at_once_where_the_rate_is_lifted():
    link = LinkEmulator(queued(rate=FixedRate(bps=RATE)), 1, 0)
    link.accept(numbered(4), 0)
    link.replace(CLEAR, MS + MS // 2)
    assert drain(link) == [(MS, 0), *((MS + MS // 2, number) for number in (1, 2, 3))]


def test_a_backlog_of_a_rate_waits_for_the_opportunities_of_a_trace():
    link = LinkEmulator(queued(rate=FixedRate(bps=RATE)), 1, 0)
    link.accept(numbered(3), 0)
    link.replace(queued(rate=TRACE), MS // 2)
    # 500 bytes are left of the first; the other half of its opportunity goes to the second.
    assert drain(link) == [(10 * MS + MS // 2, 0), (20 * MS + MS // 2, 1), (30 * MS + MS // 2, 2)]


def test_a_backlog_of_a_trace_does_not_wait_for_its_opportunities_once_there_is_a_rate():
    link = LinkEmulator(queued(rate=TRACE), 1, 0)
    frames = numbered(2, 1500)
    link.accept(frames, MS)
    link.replace(queued(rate=FixedRate(bps=RATE)), 12 * MS)  # 1000 bytes of the first are sent
    assert drain(link) == [(12 * MS + MS // 2, 0), (14 * MS, 1)]


def test_codel_keeps_its_state_if_the_discipline_is_unchanged():
    """Frames come twice as fast as they go, so that the wait gets longer; a change to the same does not show."""

    def drops(changes):
        link = LinkEmulator(queued("codel", 100_000, rate=FixedRate(bps=RATE)), 1, 0)
        for number, frame in enumerate(numbered(400)):
            link.accept([frame], number * MS // 2)
            if changes and number % 20 == 0:
                link.replace(queued("codel", 100_000, rate=FixedRate(bps=RATE)), number * MS // 2)
        drain(link)
        return link.stats().early_drops

    assert drops(changes=True) == drops(changes=False) > 0


def test_flows_keep_their_turns_where_the_discipline_is_the_same(frames):
    link = LinkEmulator(queued("fq_codel", 100_000, rate=FixedRate(bps=RATE)), 1, 0)
    bulk, sparse = (frames.make("udp", ports=(port, 80), payload=bytes(1000)) for port in (1, 2))
    link.accept([bulk] * 20, 0)
    link.replace(queued("fq_codel", 100_000, rate=FixedRate(bps=2 * RATE)), MS // 2)
    link.accept([sparse], MS // 2)
    assert sparse in link.release(3 * MS, 4)


def test_held_frames_are_accounted_for_where_the_queue_drops():
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=2000, discipline=DropHead())), 1, 0
    )
    link.accept(numbered(50), 0)
    drain(link)
    assert link._held_bytes - link._counts.dropped_bytes == 0


@pytest.mark.parametrize("discipline", DISCIPLINES.values(), ids=DISCIPLINES)
def test_what_waits_at_a_time_does_not_count_what_is_being_sent(discipline):
    bottleneck = Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=10_000, discipline=discipline)
    link = LinkEmulator(Impairments(bottleneck=bottleneck), 1, 0)
    assert (link.stats(0).queued, link.stats(0).queued_bytes) == (0, 0)
    link.accept([bytes(1000)] * 4, 0)  # a millisecond each
    for now, waiting in ((0, 3), (999_999, 3), (1_000_000, 2), (2_500_000, 1), (3_000_000, 0)):
        link.release(now, 64)
        assert (link.stats(now).queued, link.stats(now).queued_bytes) == (waiting, 1000 * waiting)
    assert link.stats().queued is None
