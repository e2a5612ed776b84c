"""Frames that a reader finds together, by when they arrived."""

from testbed.engines.userspace.reading import SPREAD_NS, _together


def test_frames_that_arrived_far_apart_are_told_apart():
    times = [0, 10, SPREAD_NS, SPREAD_NS + 1, 3 * SPREAD_NS, 3 * SPREAD_NS + 5]
    packets = [bytes([number]) for number in range(6)]
    assert _together(times, packets) == [
        (SPREAD_NS, packets[:3]),
        (SPREAD_NS + 1, packets[3:4]),
        (3 * SPREAD_NS + 5, packets[4:]),
    ]
