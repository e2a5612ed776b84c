import pytest

from testbed.agent.userspace.core import LinkEmulator
from testbed.agent.userspace.lines import InOrder
from testbed.agent.userspace.queueing.bottleneck import Backlog, EventfulBottleneck, StraightBottleneck
from testbed.agent.userspace.stages.stage import Counts
from testbed.shape import CLEAR, Discipline, Opportunities, Shape

MS = 10**6
RATE = 8_000_000  # 1000 bytes in 1 ms


def numbered(count, size=1000):
    return [number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)]


def drain(link):
    out = []
    while (wakeup := link.next_wakeup()) is not None:
        out += [(wakeup, int.from_bytes(packet[:4], "big")) for packet in link.release(wakeup, 1)]
    return out


def test_both_bottlenecks_are_the_same_for_droptail():
    shape = Shape(rate_bps=RATE, queue_bytes=3500, overhead_bytes=13)
    frames = [(place * place * 7919 % 400_000 + place * 300_000, packet) for place, packet in enumerate(numbered(500))]
    frames.sort(key=lambda frame: frame[0])
    counts, eventful_counts = Counts(), Counts()
    straight = StraightBottleneck(shape, counts, Backlog())
    eventful = EventfulBottleneck(shape, "1", eventful_counts, InOrder(), applied=0, backlog=Backlog())
    eventful.add(frames)
    out = straight.cross(frames)
    assert eventful.drain() == out
    assert 0 < counts.queue_drops == eventful_counts.queue_drops
    assert counts.queue_most_bytes == eventful_counts.queue_most_bytes


@pytest.mark.parametrize(("name", "left"), [("droptail", [0, 1, 2]), ("drophead", [0, 3, 4]), ("codel", [0, 1, 2])])
def test_a_full_queue_drops_the_newest_or_the_oldest(name, left):
    link = LinkEmulator(Shape(rate_bps=RATE, queue_bytes=2000, discipline=Discipline(name=name)), 1, 0)
    for number, frame in enumerate(numbered(5)):
        link.accept([frame], number)
    assert [number for _, number in drain(link)] == left
    stats = link.stats()
    assert stats.queue_drops == 2
    assert stats.queue_most_bytes == 2000


def test_drophead_does_not_empty_the_queue_for_a_frame_that_can_never_fit():
    link = LinkEmulator(Shape(rate_bps=RATE, queue_bytes=1500, discipline=Discipline(name="drophead")), 1, 0)
    link.accept(numbered(2), 0)
    link.accept([bytes(2000)], 1)
    assert [number for _, number in drain(link)] == [0, 1]


def test_frames_wait_for_an_opportunity_in_the_queue():
    trace = Opportunities(times_ns=(10 * MS,), frame_bytes=1500, period_ns=10 * MS)
    link = LinkEmulator(Shape(trace=trace, queue_bytes=2000), 1, 0)
    link.accept(numbered(3), MS)
    assert drain(link) == [(10 * MS, 0), (20 * MS, 1)]
    assert link.stats().queue_drops == 1


def test_a_trace_begins_when_the_shape_is_applied():
    trace = Opportunities(times_ns=(3 * MS,), frame_bytes=1500, period_ns=10 * MS)
    link = LinkEmulator(CLEAR, 1, 0)
    link.replace(Shape(trace=trace, queue_bytes=2000), 100 * MS)
    link.accept(numbered(1), 100 * MS)
    assert drain(link) == [(103 * MS, 0)]


@pytest.mark.parametrize("name", ["droptail", "drophead", "codel", "fq_codel"])
@pytest.mark.parametrize("before", ["droptail", "drophead"])
def test_frames_waiting_at_a_change_keep_their_times_and_count_in_the_new_queue(before, name):
    link = LinkEmulator(Shape(rate_bps=RATE, queue_bytes=5000, discipline=Discipline(name=before)), 1, 0)
    frames = numbered(9)
    link.accept(frames[:4], 0)  # one is sent, three wait
    link.replace(Shape(rate_bps=2 * RATE, queue_bytes=4000, discipline=Discipline(name=name)), MS // 2)
    link.accept(frames[4:6], MS // 2)  # room for one
    assert link.release(MS // 2, 9) == []
    assert link.stats().queue_drops == 1
    link.accept(frames[6:7], 3 * MS // 2)  # one more has left the queue
    assert [number for _, number in drain(link)][:4] == [0, 1, 2, 3]
    assert link.stats().packets_out == 6
    assert link.stats().queue_drops == 1
    link.accept(frames[7:], 10 * MS)
    assert drain(link) == [(10 * MS + MS // 2, 7), (11 * MS, 8)]


def test_held_frames_are_accounted_for_where_the_queue_drops():
    link = LinkEmulator(Shape(rate_bps=RATE, queue_bytes=2000, discipline=Discipline(name="drophead")), 1, 0)
    link.accept(numbered(50), 0)
    drain(link)
    assert link._held_bytes - link._counts.dropped_bytes == 0
