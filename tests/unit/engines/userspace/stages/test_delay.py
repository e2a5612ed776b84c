from itertools import pairwise
from math import sqrt
from statistics import fmean, pstdev

import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import (
    CERTAIN,
    Impairments,
    Jitter,
    RandomEvent,
    Reorder,
)

MS = 10**6
FRAMES = 20_000


def delays(count=FRAMES, interval=100 * MS, **impairments):
    """How long each frame is held, so far apart that none waits for another."""
    link = LinkEmulator(Impairments(**impairments), 7, 0)
    held = [0] * count
    for number in range(count):
        link.accept([number.to_bytes(4, "big")], number * interval)
    while (now := link.next_wakeup()) is not None:
        (packet,) = map(contents, link.release(now, 1))
        held[int.from_bytes(packet, "big")] = now - int.from_bytes(packet, "big") * interval
    return held


@pytest.mark.parametrize("distribution", ["normal", "pareto", "paretonormal"])
def test_the_jitter_is_the_standard_deviation_and_the_delay_the_mean(distribution):
    held = delays(delay_ns=50 * MS, jitter=Jitter(ns=4 * MS, distribution=distribution))
    assert abs(fmean(held) - 50 * MS) < 5 * 4 * MS / sqrt(FRAMES)
    assert abs(pstdev(held) / (4 * MS) - 1) < 0.05  # five deviations of it for a normal one are 0.025
    assert min(held) >= 0


def test_all_values_of_a_table_are_equally_likely():
    held = delays(delay_ns=10 * MS, jitter=Jitter(ns=MS, distribution=(-8192, 0, 4096)))
    assert set(held) == {9 * MS, 10 * MS, 10 * MS + MS // 2}
    assert all(abs(held.count(value) / FRAMES - 1 / 3) < 5 * sqrt(2 / 9 / FRAMES) for value in set(held))


def test_no_frame_leaves_before_it_came():
    held = delays(delay_ns=MS, jitter=Jitter(ns=MS, distribution="normal"))
    assert min(held) == 0


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_correlated_jitter_is_correlated(distribution):
    jitter = Jitter(ns=4 * MS, distribution=distribution, correlation=CERTAIN // 2)
    held = delays(delay_ns=50 * MS, jitter=jitter)
    mean = fmean(held)
    products = fmean((one - mean) * (other - mean) for one, other in pairwise(held))
    assert abs(products / pstdev(held) ** 2 - 0.5) < 0.05


def test_order_is_kept_or_free():
    def places(keeps_order):
        jitter = Jitter(ns=10 * MS, keeps_order=keeps_order)
        link = LinkEmulator(Impairments(delay_ns=10 * MS, jitter=jitter), 7, 0)
        for number in range(100):
            link.accept([number.to_bytes(4, "big")], number * MS)
        return [int.from_bytes(packet, "big") for packet in map(contents, link.release(1000 * MS, 100))]

    assert places(keeps_order=True) == list(range(100))
    assert places(keeps_order=False) != sorted(places(keeps_order=False)) == list(range(100))


@pytest.mark.parametrize(
    ("reorder", "held"),
    [
        (Reorder(event=RandomEvent(probability=CERTAIN)), [0] * 6),
        (Reorder(event=RandomEvent(probability=CERTAIN), gap=3), [10, 10, 0, 10, 10, 0]),
        (Reorder(event=RandomEvent(probability=CERTAIN), gap=2, late_ns=5 * MS), [10, 15, 10, 15, 10, 15]),
        (None, [10] * 6),
    ],
)
def test_chosen_frames_leave_their_place(reorder, held):
    assert delays(6, delay_ns=10 * MS, reorder=reorder) == [ms * MS for ms in held]


def test_the_frames_behind_a_late_one_keep_their_place():
    link = LinkEmulator(
        Impairments(delay_ns=10 * MS, reorder=Reorder(event=RandomEvent(probability=CERTAIN), gap=3)), 7, 0
    )
    for number in range(6):
        link.accept([bytes([number])], number * MS)
    assert link.release(5 * MS, 9) == [b"\2", b"\5"]
    assert link.release(50 * MS, 9) == [b"\0", b"\1", b"\3", b"\4"]
    assert link.stats().reordered == 2


def test_a_seed_reorders_these_frames_in_every_version():
    held = delays(30, delay_ns=10 * MS, reorder=Reorder(event=RandomEvent(probability=CERTAIN // 5)))
    assert [place for place, time in enumerate(held) if not time] == [2, 9, 15, 17, 21]
