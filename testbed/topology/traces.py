"""Read the files beside a topology: traces of a bottleneck and measured delays, one entry per line.

Empty lines and lines that start with `#` are ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed import units
from testbed.impairments import Opportunities, RateSteps
from testbed.impairments.distributions import standardised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAME_BYTES = 1514
"""Bytes that an opportunity of a Mahimahi trace sends: an IP packet of 1500 bytes with its Ethernet header.

mm-link(1) documents 1500 bytes. Its code has 1504 (PACKET_SIZE in src/frontend/link_queue.hh): the same IP packet
after the 4 bytes that its tun device adds."""

MOST_ENTRIES = 1_000_000
"""The most entries of a file: twice as many as the longest trace of Mahimahi. Half of them take 350 MB of memory while
the link is up, and 40 MB of a run's folder."""

_MILLISECOND = units.DURATION.parse("1ms")
_HEADER = re.compile(r"time(?:_(\w+))?,rate(?:_(\w+))?", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def trace(text: str, name: str) -> Opportunities | RateSteps:
    """Parse a trace: by `rates` if the name of the file ends in `.csv`, otherwise by `opportunities`.

    Raises:
        ValueError: the text is not a trace.
    """
    return rates(text) if name.lower().endswith(".csv") else opportunities(text)


def opportunities(text: str) -> Opportunities:
    """Parse a trace in Mahimahi's format (mm-link(1)): each line is the millisecond of one opportunity to send.

    The trace repeats at its last opportunity, which is the time 0 of the next round.

    Raises:
        ValueError: the text is not a trace.
    """
    times: list[int] = []
    for number, line in _lines(text):
        if not re.fullmatch("[0-9]{1,12}", line):
            raise ValueError(f"line {number} is no whole number of milliseconds: {line[:20]!r}")
        times.append(int(line) * _MILLISECOND)
        if times[-1] < max(times[-2:]):
            raise ValueError(f"line {number} is earlier than the one before it")
    if not times or not times[-1]:
        raise ValueError("no line is later than 0, so that it lasts no time")
    return Opportunities(times_ns=tuple(times), frame_bytes=FRAME_BYTES, period_ns=times[-1])


def rates(text: str) -> RateSteps:
    """Parse a trace of `TIME,RATE` lines, each with the rate from that time on. Times count from the first.

    Either every value has its unit (`0s,20mbit`), or a header gives the units: `time_s,rate_mbit`. The last rate lasts
    as long as the one before it; then the trace repeats.

    Raises:
        ValueError: the text is not a trace.
    """
    lines = list(_lines(text))
    time_unit = rate_unit = ""
    if lines and (header := _HEADER.fullmatch(lines[0][1].replace(" ", ""))):
        time_unit, rate_unit = header[1] or "", header[2] or ""
        del lines[0]
    starts, steps = [], []
    for number, line in lines:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 2:  # noqa: PLR2004
            raise ValueError(f"line {number} is not TIME,RATE: {line[:20]!r}")
        starts.append(_parsed(units.DURATION.parse, cells[0] + time_unit, number))
        steps.append(_parsed(units.RATE.parse, cells[1] + rate_unit, number))
        if starts[-1] <= max(starts[-2:-1], default=-1):
            raise ValueError(f"line {number} is not later than the one before it")
    if len(starts) < 2:  # noqa: PLR2004
        raise ValueError("there are fewer than two rates")
    if not any(steps):
        raise ValueError("all rates are 0")
    starts = [start - starts[0] for start in starts]
    return RateSteps(starts_ns=tuple(starts), rates_bps=tuple(steps), period_ns=2 * starts[-1] - starts[-2])


def delays(text: str, _: str) -> tuple[int, ...]:
    """Parse measured delays, all durations or all plain numbers, into a table (`testbed.impairments.distributions`).

    Raises:
        ValueError: the text does not contain delays, or they do not vary.
    """
    lines = list(_lines(text))
    if len(lines) < 2:  # noqa: PLR2004
        raise ValueError("there are fewer than two delays")
    if all(_NUMBER.fullmatch(line) for _, line in lines):
        return standardised([float(line) for _, line in lines])
    return standardised([float(_parsed(units.DURATION.parse, line, number)) for number, line in lines])


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the entries with their line numbers."""
    count = 0
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            count += 1
            if count > MOST_ENTRIES:
                raise ValueError(f"there are more than {MOST_ENTRIES} entries; cut the file, it repeats at its end")
            yield number, entry


def _parsed(parse: Callable[[str], int], text: str, number: int) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"line {number} is wrong: {error}") from None
