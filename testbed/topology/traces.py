"""Read the files beside a topology: traces of a rate, a delay or a loss, and measured delays, one entry per line.

Empty lines and lines that start with `#` are ignored.
"""

from __future__ import annotations

import re
from array import array
from codecs import BOM_UTF8
from itertools import islice
from operator import gt
from typing import TYPE_CHECKING

from testbed import units
from testbed.impairments import DelaySteps, LossSteps, Opportunities, RateSteps, Times
from testbed.impairments.distributions import standardised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

FRAME_BYTES = 1514
"""Bytes that an opportunity of a Mahimahi trace sends: an IP packet of 1500 bytes with its Ethernet header.

mm-link(1) documents 1500 bytes. Its code has 1504 (PACKET_SIZE in src/frontend/link_queue.hh): the same IP packet
after the 4 bytes that its tun device adds."""

MOST_ENTRIES = 1_000_000
"""The most entries of a file, except for a trace in Mahimahi's format."""

_MILLISECOND = units.DURATION.parse("1ms")
_LATEST_MS = 10**12
_READ_BYTES = 1 << 20
_DIGITS = b"0123456789\n\r"
_CELLS = re.compile(r"([^,\s](?:[^,]*[^,\s])??)(?:\s*,\s*|\s+)(\S.*)")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def trace(file: BinaryIO, name: str) -> Opportunities | RateSteps:
    """Parse a trace of a rate: by `rates` if the name of the file ends in `.csv`, otherwise by `opportunities`.

    Raises:
        ValueError: the file is not a trace.
    """
    return rates(file) if name.lower().endswith(".csv") else opportunities(file)


def opportunities(file: BinaryIO) -> Opportunities:
    """Parse a trace in Mahimahi's format (mm-link(1)): each line is the millisecond of one opportunity to send.

    The trace repeats at its last opportunity, which is the time 0 of the next round. It is read in parts, and takes
    8 bytes of memory for each opportunity.

    Raises:
        ValueError: the file is not a trace.
    """
    times_ns = array("q")
    number = 0
    while lines := file.readlines(_READ_BYTES):
        try:
            if b"".join(lines).translate(None, _DIGITS):
                raise ValueError  # noqa: TRY301  # read the lines one by one
            times = array("q", map(int, lines))
            if times_ns:
                times.insert(0, times_ns[-1] // _MILLISECOND)
            if any(map(gt, times, islice(times, 1, None))) or times[-1] >= _LATEST_MS:
                raise ValueError  # noqa: TRY301
            times_ns.extend(time * _MILLISECOND for time in islice(times, bool(times_ns), None))
        except (ValueError, OverflowError):  # comments, empty lines, or an error to find
            for place, entry in _entries(lines, number + 1):
                times_ns.append(_opportunity(place, entry, times_ns[-1] if times_ns else 0))
        number += len(lines)
    if not times_ns or not times_ns[-1]:
        raise ValueError("no line is later than 0, so that it lasts no time")
    return Opportunities(times_ns=Times(times_ns), frame_bytes=FRAME_BYTES, period_ns=times_ns[-1])


def _opportunity(number: int, entry: str, previous_ns: int) -> int:
    """Return the time of a line, ns."""
    if not re.fullmatch("[0-9]{1,12}", entry):
        raise ValueError(f"line {number} is no whole number of milliseconds: {entry[:20]!r}")
    time_ns = int(entry) * _MILLISECOND
    if time_ns < previous_ns:
        raise ValueError(f"line {number} is earlier than the one before it")
    return time_ns


def rates(file: BinaryIO, _: str = "") -> RateSteps:
    """Parse a trace of a rate by `_steps`.

    Raises:
        ValueError: the file is not a trace.
    """
    starts_ns, steps, period_ns = _steps(file, "rate", units.RATE.parse)
    if not any(steps):
        raise ValueError("all rates are 0")
    return RateSteps(starts_ns=starts_ns, rates_bps=steps, period_ns=period_ns)


def delay_steps(file: BinaryIO, _: str = "") -> DelaySteps:
    """Parse a trace of a delay by `_steps`.

    Raises:
        ValueError: the file is not a trace.
    """
    starts_ns, steps, period_ns = _steps(file, "delay", units.DURATION.parse)
    return DelaySteps(starts_ns=starts_ns, delays_ns=steps, period_ns=period_ns)


def losses(file: BinaryIO, _: str = "") -> LossSteps:
    """Parse a trace of a loss by `_steps`.

    Raises:
        ValueError: the file is not a trace.
    """
    starts_ns, steps, period_ns = _steps(file, "loss", units.PROBABILITY.parse)
    if not any(steps):
        raise ValueError("all losses are 0")
    return LossSteps(starts_ns=starts_ns, probabilities=steps, period_ns=period_ns)


def _steps(file: BinaryIO, noun: str, parse: Callable[[str], int]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Parse lines of TIME and VALUE, each with the value from that time on. Times count from the first.

    A comma or a space separates the two. Either every value has its unit (`0s,20mbit`), or a header gives the units:
    `time_s,rate_mbit`, of a loss `time_s,loss_%`. The last value lasts as long as the one before it; then the trace
    repeats.

    Returns:
        The starts, the values and the period, times in ns.
    """
    lines = list(_lines(file))
    time_unit = value_unit = ""
    header = rf"time(?:_(\w+))?[,\s]\s*{noun}(?:_(\w+|%))?"
    if lines and (match := re.fullmatch(header, lines[0][1], re.IGNORECASE)):
        time_unit, value_unit = match[1] or "", match[2] or ""
        del lines[0]
    starts: list[int] = []
    steps: list[int] = []
    for number, line in lines:
        cells = _CELLS.fullmatch(line)
        if cells is None or "," in cells[2]:
            raise ValueError(f"line {number} is not TIME,{noun.upper()}: {line[:20]!r}")
        starts.append(_parsed(units.DURATION.parse, cells[1] + time_unit, number))
        steps.append(_parsed(parse, cells[2] + value_unit, number))
        if starts[-1] <= max(starts[-2:-1], default=-1):
            raise ValueError(f"line {number} is not later than the one before it")
    if len(starts) < 2:  # noqa: PLR2004
        raise ValueError(f"there are fewer than two {noun}{'e' * noun.endswith('s')}s")
    starts = [start - starts[0] for start in starts]
    return tuple(starts), tuple(steps), 2 * starts[-1] - starts[-2]


def delays(file: BinaryIO, _: str) -> tuple[int, ...]:
    """Parse measured delays, all durations or all plain numbers, into a table (`testbed.impairments.distributions`).

    Raises:
        ValueError: the file does not contain delays, or they do not vary.
    """
    lines = list(_lines(file))
    if len(lines) < 2:  # noqa: PLR2004
        raise ValueError("there are fewer than two delays")
    if all(_NUMBER.fullmatch(line) for _, line in lines):
        return standardised([float(line) for _, line in lines])
    return standardised([float(_parsed(units.DURATION.parse, line, number)) for number, line in lines])


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the entries with their line numbers."""
    for count, (number, entry) in enumerate(_entries(file, 1)):
        if count >= MOST_ENTRIES:
            raise ValueError(f"there are more than {MOST_ENTRIES} entries; cut the file, it repeats at its end")
        yield number, entry


def _entries(lines: Iterable[bytes], first: int) -> Iterator[tuple[int, str]]:
    """Yield the entries of lines with their line numbers, from `first` on."""
    for number, line in enumerate(lines, start=first):
        try:
            entry = (line.removeprefix(BOM_UTF8) if number == 1 else line).decode().strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {error.start} of line {number} is not UTF-8") from None
        if entry and not entry.startswith("#"):
            yield number, entry


def _parsed(parse: Callable[[str], int], text: str, number: int) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"line {number} is wrong: {error}") from None
