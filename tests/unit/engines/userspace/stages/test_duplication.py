from math import sqrt

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import (
    CERTAIN,
    Impairments,
    Jitter,
    RandomEvent,
)

FRAMES = 20_000


def carried(**impairments):
    link = LinkEmulator(Impairments(**impairments), 7, 0)
    link.accept([number.to_bytes(4, "big") for number in range(FRAMES)], 0)
    out = []
    while (now := link.next_wakeup()) is not None:
        out += [(now, int.from_bytes(packet, "big")) for packet in map(contents, link.release(now, FRAMES))]
    return out, link.stats()


def test_some_frames_come_twice_the_copy_right_behind():
    out, stats = carried(duplicate=RandomEvent(probability=CERTAIN // 10))
    numbers = [number for _, number in out]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(FRAMES))
    assert stats.duplicated == len(numbers) - FRAMES
    assert abs(stats.duplicated / FRAMES - 0.1) < 5 * sqrt(0.09 / FRAMES)
    assert stats.packets_out == stats.packets_in + stats.duplicated


def test_each_copy_has_its_own_delay():
    out, _ = carried(duplicate=RandomEvent(probability=CERTAIN), delay_ns=10**9, jitter=Jitter(ns=10**9))
    times: dict[int, list[int]] = {}
    for time, number in out:
        times.setdefault(number, []).append(time)
    assert all(len(each) == 2 for each in times.values())
    assert any(one != other for one, other in times.values())


def test_a_seed_doubles_these_frames_in_every_version():
    out, _ = carried(duplicate=RandomEvent(probability=CERTAIN // 5))
    numbers = [number for _, number in out if number < 30]
    assert sorted(number for number in set(numbers) if numbers.count(number) == 2) == [3, 18, 20]
