import pytest

from testbed.engines.userspace import core
from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.stages.stage import FRAME_OVERHEAD_BYTES
from testbed.impairments import CERTAIN, CLEAR, Bottleneck, FixedRate, Impairments, IndependentLoss, Jitter
from tests.counting import counted

MS = 1_000_000
FRAME = bytes(1000)
LOST_BY_SEED_7 = {8, 13, 14, 21, 24, 26, 27}  # of the first 30, with a probability of 1/5
DELAYS_BY_SEED_7 = [8_422_473, 5_701_454, 5_741_284, 9_801_615, 14_654_815]


def numbered(count, size=1000):
    return [number.to_bytes(4, "big") + bytes(size - 4) for number in range(count)]


def numbers(packets):
    return [int.from_bytes(packet[:4], "big") for packet in packets]


def drain(link):
    """What is in flight: (time, number) of each frame."""
    out = []
    while (wakeup := link.next_wakeup()) is not None:
        out += [(wakeup, number) for number in numbers(link.release(wakeup, 1))]
    return out


def test_a_clear_link_releases_a_frame_when_it_arrives():
    link = LinkEmulator(CLEAR, 1, 0)
    assert link.next_wakeup() is None
    link.accept([b"frame"], 100)
    assert link.next_wakeup() == 100
    assert link.release(100, 10) == [b"frame"]
    assert link.next_wakeup() is None
    assert link.release(200, 10) == []


def test_a_delayed_frame_is_released_when_due_and_not_before():
    link = LinkEmulator(Impairments(delay_ns=40 * MS), 1, 0)
    link.accept([b"first"], 0)
    link.accept([b"second"], MS)
    assert link.release(40 * MS - 1, 10) == []
    assert link.release(40 * MS, 10) == [b"first"]
    assert link.next_wakeup() == 41 * MS
    assert link.release(50 * MS, 10) == [b"second"]


def test_release_returns_at_most_the_requested_number_and_the_others_stay_due():
    link = LinkEmulator(CLEAR, 1, 0)
    link.accept(numbered(5), 0)
    assert numbers(link.release(0, 3)) == [0, 1, 2]
    assert link.next_wakeup() == 0
    assert numbers(link.release(0, 3)) == [3, 4]


def test_a_seed_loses_these_frames_in_every_version():
    link = LinkEmulator(Impairments(loss=IndependentLoss(probability=CERTAIN // 5)), 7, 0)
    link.accept(numbered(30), 0)
    lost = set(range(30)) - set(numbers(link.release(0, 30)))
    assert lost == LOST_BY_SEED_7
    assert link.stats().lost == len(lost)


def test_a_seed_jitters_these_frames_so_in_every_version():
    link = LinkEmulator(Impairments(delay_ns=10 * MS, jitter=Jitter(ns=5 * MS)), 7, 0)
    for number, frame in enumerate(numbered(5)):
        link.accept([frame], number * 20 * MS)
    assert [time - number * 20 * MS for time, number in drain(link)] == DELAYS_BY_SEED_7


@pytest.mark.parametrize(
    "more",
    [
        {"delay_ns": 9 * MS, "jitter": Jitter(ns=9 * MS)},
        {"bottleneck": Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**6)},
    ],
)
def test_other_stages_do_not_shift_the_loss(more):
    link = LinkEmulator(Impairments(loss=IndependentLoss(probability=CERTAIN // 5), **more), 7, 0)
    for frame in numbered(30):
        link.accept([frame], 0)
    assert {number for _, number in drain(link)} == set(range(30)) - LOST_BY_SEED_7


def test_random_numbers_do_not_depend_on_the_number_of_frames_before_a_change():
    few, many = (
        LinkEmulator(Impairments(loss=IndependentLoss(probability=CERTAIN // 2)), 7, 0),
        LinkEmulator(Impairments(loss=IndependentLoss(probability=CERTAIN // 2)), 7, 0),
    )
    few.accept(numbered(3), 0)
    many.accept(numbered(30), 0)
    for link in (few, many):
        drain(link)
        link.replace(Impairments(loss=IndependentLoss(probability=CERTAIN // 5)), 0)
        link.accept(numbered(30), 0)
    lost = set(range(30)) - {number for _, number in drain(few)}
    assert lost == set(range(30)) - {number for _, number in drain(many)} != LOST_BY_SEED_7


def test_certain_loss_loses_all_and_none_loses_none():
    link = LinkEmulator(Impairments(loss=IndependentLoss(probability=CERTAIN)), 3, 0)
    link.accept(numbered(1000), 0)
    assert link.next_wakeup() is None
    link.replace(CLEAR, 0)
    link.accept(numbered(1000), 0)
    assert link.stats().in_flight == 1000


def test_jitter_keeps_order_and_its_bounds():
    link = LinkEmulator(Impairments(delay_ns=10 * MS, jitter=Jitter(ns=10 * MS)), 5, 0)
    frames = numbered(500)
    for number, frame in enumerate(frames):
        link.accept([frame], number * MS)
    out = drain(link)
    assert [number for _, number in out] == list(range(500))
    delays = [time - number * MS for time, number in out]
    assert min(delays) >= 0
    assert max(delays) <= 20 * MS
    assert len(set(delays)) > 250


def test_the_bottleneck_spaces_frames_by_their_bits():
    link = LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=10_000)), 1, 0
    )  # 1000 bytes in 1 ms
    link.accept(numbered(3), 0)
    assert drain(link) == [(1 * MS, 0), (2 * MS, 1), (3 * MS, 2)]


def test_the_bottleneck_keeps_its_rate_to_the_nanosecond():
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=3), queue_bytes=100)), 1, 0)
    link.accept(numbered(3, size=4), 0)
    assert [time for time, _ in drain(link)] == [10_666_666_666, 21_333_333_333, 32_000_000_000]


def test_departures_do_not_depend_on_when_release_is_called():
    prompt = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=10_000)), 1, 0)
    tardy = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=10_000)), 1, 0)
    for step, frame in enumerate(numbered(20)):
        for link in (prompt, tardy):
            link.accept([frame], step * MS // 2)
        prompt.release(step * MS // 2, 100)
    released = counted(prompt.stats()).packets_out
    assert released > 0
    assert drain(prompt) == drain(tardy)[released:]
    assert prompt.stats().queue_drops == tardy.stats().queue_drops


def test_the_queue_holds_waiting_frames_and_not_the_one_being_sent():
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=2000)), 1, 0)
    link.accept(numbered(5), 0)
    assert [number for _, number in drain(link)] == [0, 1, 2]
    stats = link.stats()
    assert stats.queue_drops == 2
    assert stats.queue_most_bytes == 2000


def test_the_queue_has_room_again_when_a_transmission_starts():
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=1000)), 1, 0)
    frames = numbered(4)
    link.accept(frames[:2], 0)
    link.accept(frames[2:3], MS - 1)
    link.accept(frames[3:], MS)
    assert drain(link) == [(1 * MS, 0), (2 * MS, 1), (3 * MS, 3)]


def test_an_idle_transmitter_takes_a_frame_larger_than_the_queue():
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=1)), 1, 0)
    link.accept([FRAME, FRAME], 0)
    assert len(drain(link)) == 1


def test_the_queue_is_after_the_delay():
    link = LinkEmulator(
        Impairments(delay_ns=50 * MS, bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=1000)), 1, 0
    )
    for number, frame in enumerate(numbered(40)):
        link.accept([frame], number * MS)  # 40 frames in flight, none ever waits
    assert link.stats().queue_drops == 0
    assert drain(link) == [(number * MS + 51 * MS, number) for number in range(40)]


def test_replacing_keeps_what_is_in_flight_and_its_order():
    link = LinkEmulator(Impairments(delay_ns=100 * MS), 1, 0)
    frames = numbered(4)
    link.accept(frames[:1], 0)
    link.replace(Impairments(delay_ns=10 * MS), MS)
    link.accept(frames[1:2], MS)
    link.replace(Impairments(loss=IndependentLoss(probability=CERTAIN)), 2 * MS)
    link.accept(frames[2:3], 2 * MS)
    link.replace(Impairments(delay_ns=10 * MS), 95 * MS)
    link.accept(frames[3:], 95 * MS)
    assert drain(link) == [(100 * MS, 0), (100 * MS, 1), (105 * MS, 3)]


def test_frames_after_a_rate_limit_is_lifted_stay_behind_those_that_wait():
    link = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=10_000)), 1, 0)
    frames = numbered(4)
    link.accept(frames[:2], 0)
    link.replace(CLEAR, MS)
    link.accept(frames[2:3], MS)
    link.accept(frames[3:], 5 * MS)
    assert drain(link) == [(1 * MS, 0), (1 * MS, 1), (1 * MS, 2), (5 * MS, 3)]


def test_what_is_in_flight_is_bounded_and_the_excess_counted(monkeypatch):
    monkeypatch.setattr(core, "HELD_BYTES_MOST", 3 * (1000 + FRAME_OVERHEAD_BYTES))
    link = LinkEmulator(Impairments(delay_ns=MS), 1, 0)
    for frame in numbered(5):
        link.accept([frame], 0)
    assert link.stats().in_flight == 3
    assert link.stats().backlog_drops == 2
    assert numbers(link.release(MS, 10)) == [0, 1, 2]
    link.accept([FRAME], MS)
    assert link.stats().in_flight == 1


def test_the_counters_add_up():
    link = LinkEmulator(
        Impairments(
            delay_ns=MS,
            loss=IndependentLoss(probability=CERTAIN // 4),
            bottleneck=Bottleneck(rate=FixedRate(bps=8_000_000), queue_bytes=5000),
        ),
        2,
        0,
    )
    for number, frame in enumerate(numbered(100)):
        link.accept([frame], number * MS // 2)
    link.release(30 * MS, 1000)
    stats = counted(link.stats())
    assert stats.packets_in == 100
    assert stats.bytes_in == 100_000
    assert stats.bytes_out == stats.packets_out * 1000
    assert min(stats.lost, stats.queue_drops, stats.packets_out, stats.in_flight) > 0
    assert stats.lost + stats.queue_drops + stats.packets_out + stats.in_flight == 100


def test_lateness_is_counted_from_when_a_frame_was_due():
    link = LinkEmulator(Impairments(delay_ns=MS), 1, 0)
    for _ in range(99):
        link.accept([FRAME], 0)
        link.release(MS, 1)
    link.accept([FRAME], 0)
    link.release(2 * MS, 1)
    stats = link.stats()
    assert stats.lateness_p50_ns == 0
    assert stats.lateness_p99_ns == 0
    assert stats.lateness_max_ns == MS
