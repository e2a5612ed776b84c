"""Values as Docker and Compose write them, in the words of a topology."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kmgt]?)(i?)b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PORT = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:]+\]|[0-9]+(?:\.[0-9]+)+):)?(?:(?P<host>[0-9]*(?:-[0-9]+)?):)?"
    r"(?P<port>[0-9]+)(?:-(?P<last>[0-9]+))?(?:/(?P<protocol>[a-z]+))?"
)
_MOST_PORTS = 1000
_UNITS = (("GiB", 1024**3), ("GB", 10**9), ("MiB", 1024**2), ("MB", 10**6), ("KiB", 1024), ("KB", 10**3))


def size(text: str, *, kilo: int = 1024) -> str:
    """Return a size as a topology writes it.

    Args:
        text: such as `64m`.
        kilo: 1024 where `64mb` are mebibytes, as in Docker; 1000 where only `64mib` are.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is no size like 64m")
    amount = Fraction(match[1]) * (1024 if match[3] else kilo) ** " kmgt".index(match[2].lower() or " ")
    for unit, factor in _UNITS:
        if amount >= factor and not amount % factor:
            return f"{amount // factor}{unit}"
    return f"{int(amount)}B"


def duration_ns(text: str) -> int:
    """Return nanoseconds of a duration such as `1m30s`.

    Raises:
        ValueError: it is no duration.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError("is no duration like 1m30s")
    return int(sum(Fraction(amount) * _NS[unit] for amount, unit in _DURATION_PART.findall(text)))


def duration(ns: int) -> str:
    """Return a duration as a topology writes it."""
    return f"{ns // 10**9}s" if not ns % 10**9 else f"{max(1, ns // 10**6)}ms"


def ports(text: str) -> list[str]:
    """Return one entry for each port of an entry, which may have ranges: `3000-3001:3000-3001/udp`.

    Raises:
        ValueError: it is no entry of `ports`, or one that has no counterpart.
    """
    match = _PORT.fullmatch(text)
    if match is None:
        raise ValueError("is not [[ADDRESS:]PORT:]PORT[/PROTOCOL]")
    address, host = match["address"] or "", match["host"] or ""
    if ":" in address:
        raise ValueError("publishes on an IPv6 address, and here are only IPv4 ones")
    first, last = int(match["port"]), int(match["last"] or match["port"])
    begin, _, end = host.partition("-")
    count, width = last - first + 1, int(end or begin or 0) - int(begin or 0) + 1
    if not 1 <= count <= _MOST_PORTS:
        raise ValueError(f"is a range of {count} ports")
    if host and width != count:
        if count > 1:
            raise ValueError("has ranges of different lengths")
        begin = ""  # any port of the range: any free one
    suffix = f"/{match['protocol']}" if match["protocol"] not in (None, "tcp") else ""
    before = f"{address}:" if address else ""
    return [
        f"{before}{int(begin) + number if begin else ''}:{first + number}{suffix}"
        if before or begin
        else f"{first + number}{suffix}"
        for number in range(count)
    ]


def moved(path: str, base: Path, target: Path) -> str:
    """Return a path relative to `base` as one relative to `target`; absolute ones, and those below ~, stay as they are.

    It begins with `.`, `/` or `~`, as a topology wants it.
    """
    if path.startswith(("/", "~")):
        return path
    relative = os.path.relpath(base / path, target)
    return relative if relative.startswith(".") else f"./{relative}"
