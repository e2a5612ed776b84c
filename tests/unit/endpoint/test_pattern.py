from __future__ import annotations

from testbed.endpoint.pattern import PERIOD, pattern


def test_the_seed_decides_the_bytes():
    assert pattern(7) == pattern(7)
    assert pattern(7) != pattern(8)
    assert len(pattern(7)) == PERIOD


def test_a_pattern_repeats_after_its_period():
    long = pattern(7, 3 * PERIOD + 5)
    assert len(long) == 3 * PERIOD + 5
    assert long[:PERIOD] == long[PERIOD : 2 * PERIOD] == pattern(7)
    assert pattern(7, 10) == long[:10]


def test_data_shifted_by_a_segment_differs():
    long = pattern(7, 100 * 1448 + 1448)
    assert all(long[shift : shift + 1448] != long[:1448] for shift in range(1448, 100 * 1448, 1448))
