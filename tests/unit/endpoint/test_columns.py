from __future__ import annotations

from array import array

from testbed.endpoint.columns import decode, encode


def test_the_first_value_then_differences():
    assert encode([1000, 1007, 1003]) == [1000, 7, -4]
    assert encode(array("q", [5])) == [5]
    assert encode([]) == []


def test_decoding_is_the_way_back():
    assert decode([1000, 7, -4]) == array("q", [1000, 1007, 1003])
    assert decode([]) == array("q")
