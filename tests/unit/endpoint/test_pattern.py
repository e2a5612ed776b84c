from __future__ import annotations

from testbed.endpoint.pattern import PERIOD, pattern


def test_same_seed_same_bytes_and_another_seed_others():
    assert pattern(7) == pattern(7)
    assert pattern(7) != pattern(8)
    assert len(pattern(7)) == PERIOD


def test_it_repeats_after_its_period():
    long = pattern(7, 3 * PERIOD + 5)
    assert len(long) == 3 * PERIOD + 5
    assert long[:PERIOD] == long[PERIOD : 2 * PERIOD] == pattern(7)
    assert pattern(7, 10) == long[:10]


def test_data_shifted_by_a_segment_differs():
    long = pattern(7, 100 * 1448 + 1448)
    assert all(long[shift : shift + 1448] != long[:1448] for shift in range(1448, 100 * 1448, 1448))
