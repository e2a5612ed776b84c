"""Sparklines: values over time in one line of text, for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.analysis.samples.bins import Bins
    from testbed.analysis.samples.reading import Samples

LENGTH = 24
"""How long one is where there is room."""

_BARS = "▁▂▃▄▅▆▇█"
_NOTHING = " "


def sparkline(values: Sequence[float | None]) -> str:
    """Return a bar for each value, from zero to the maximum; blank for None."""
    most = max((value for value in values if value is not None), default=0) or 1
    highest = len(_BARS) - 1
    return "".join(
        _NOTHING if value is None else _BARS[min(highest, int(len(_BARS) * value / most))] for value in values
    )


def over_time(samples: Samples, length: int) -> str:
    """Return a workload's goodput over time, or else the latency of its messages; empty if it has neither.

    A bar of latency is the maximum, because late messages matter most.
    """
    if samples.begun_ns is None or samples.ended_ns is None:
        return ""
    part_ns = max(1, samples.ended_ns - samples.begun_ns) / length
    if samples.flow is not None:
        return sparkline(_totals(samples.flow.delivered, samples.begun_ns, part_ns, length))
    return sparkline(_greatest(samples.messages.latency, samples.begun_ns, part_ns, length)).rstrip()


def _totals(bins: Bins, begun_ns: int, part_ns: float, length: int) -> list[float]:
    """Return the total of each of `length` equal parts; a bin contributes in proportion to its overlap."""
    totals = [0.0] * length
    for item in bins:
        left, right = ((at - begun_ns) / part_ns for at in (item.start, item.start + bins.width))
        for number in range(max(0, int(left)), min(length, int(right) + 1)):
            inside = min(right, number + 1) - max(left, number)
            totals[number] += item.total * max(0.0, inside) / (right - left)
    return totals


def _greatest(bins: Bins, begun_ns: int, part_ns: float, length: int) -> list[float | None]:
    """Return the maximum in each of `length` equal parts; None for an empty one."""
    most: list[float | None] = [None] * length
    for item in bins:
        number = min(length - 1, max(0, int((item.start + bins.width / 2 - begun_ns) / part_ns)))
        most[number] = max(most[number] or 0, item.high)
    return most
