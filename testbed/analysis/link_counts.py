"""The counters of links over the time of a run: their totals, and the histories of those that carried most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from testbed import records
from testbed.analysis.samples.bins import Bins
from testbed.engines.counters import DROPS
from testbed.records import LinkCounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PARTS: Final = 300
"""The most parts of a history."""

FINEST_NS: Final = 100_000_000
"""The shortest part: links are looked at no more often."""

_TOTALS: Final = ("packets_in", "bytes_in", "packets_out", "bytes_out", *DROPS, "marked")
_SECOND = 1_000_000_000


class Total:
    """A running total, known at some times, as the growth in equal parts of time.

    Between two times it is taken to grow evenly, so that parts need not begin when it was looked at. A total that
    falls has begun anew.

    Attributes:
        origin_ns: where the first part begins.
        width_ns: of the parts.
    """

    def __init__(self, origin_ns: int, width_ns: int) -> None:
        self.origin_ns, self.width_ns = origin_ns, width_ns
        self._parts: list[float] = []
        self._before: tuple[int, int] | None = None

    def add(self, at_ns: int, value: int) -> None:
        """Add the total at a time, later than those before."""
        if self._before is not None:
            since_ns, before = self._before
            self._grow(since_ns, at_ns, value - before if value >= before else value)
        self._before = at_ns, value

    def _grow(self, since_ns: int, at_ns: int, growth: int) -> None:
        first, last = ((ns - self.origin_ns) // self.width_ns for ns in (since_ns, at_ns))
        self._parts += [0.0] * (last + 1 - len(self._parts))
        if not growth:
            return
        for part in range(max(0, first), last + 1):
            begin_ns = self.origin_ns + part * self.width_ns
            share_ns = min(at_ns, begin_ns + self.width_ns) - max(since_ns, begin_ns)
            self._parts[part] += growth * share_ns / max(1, at_ns - since_ns)

    def per_second(self) -> list[tuple[int, float]]:
        """Return the growth per second in each part, with the time at which the part begins, ns.

        The last part counts only as far as the total is known.
        """
        end_ns = self._before[0] if self._before else self.origin_ns
        parts = ((self.origin_ns + number * self.width_ns, growth) for number, growth in enumerate(self._parts))
        return [
            (begin_ns, growth * _SECOND / min(self.width_ns, end_ns - begin_ns))
            for begin_ns, growth in parts
            if begin_ns < end_ns
        ]

    def __bool__(self) -> bool:
        return any(self._parts)


@dataclass(kw_only=True)
class LinkHistory:
    """What crossed one link over time, and what waited there.

    Attributes:
        link: its name, as in the record.
        totals: by the name of the counter.
        queued_bytes: what waited for its bottleneck at times; empty where the engine does not say.
    """

    link: str
    totals: dict[str, Total] = field(default_factory=dict)
    queued_bytes: Bins

    def drops(self) -> dict[str, Total]:
        """Return the packets that it dropped, by the reason in words; without reasons that did not occur."""
        return {words: self.totals[name] for name, words in DROPS.items() if self.totals.get(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLinks:
    """What a record of links says.

    Attributes:
        totals: how much each counter of each link grew, the busiest link first.
        most_queued_bytes: the most that waited at a link when it was looked at, by link.
        busiest: the histories of those that carried most, in the same order.
        begun_ns, ended_ns: the first and the last time.
    """

    totals: dict[str, Counter[str]]
    most_queued_bytes: dict[str, int]
    busiest: tuple[LinkHistory, ...]
    begun_ns: int
    ended_ns: int


def read(path: Path, most: int) -> RecordedLinks | None:
    """Read a record of links; None if nothing crossed any.

    Args:
        path: of the file.
        most: how many links have histories.

    Raises:
        OSError: the file can't be read.
        RecordError, ValueError: it is damaged.
    """
    totals: dict[str, Counter[str]] = {}
    latest: dict[tuple[str, str], int] = {}
    most_queued: dict[str, int] = {}
    begun_ns, ended_ns = [], []
    for counts in _lines(path):
        grown = totals.setdefault(counts.link, Counter())
        for name in _TOTALS:
            if (values := getattr(counts, name)) is not None:
                grown[name] += _growth(latest.get((counts.link, name), values[0]), values)
                latest[counts.link, name] = values[-1]
        if counts.queued_bytes:
            most_queued[counts.link] = max(most_queued.get(counts.link, 0), *counts.queued_bytes)
        begun_ns.append(counts.at_ns[0])
        ended_ns.append(counts.at_ns[-1])
    if not totals:
        return None
    busiest = sorted(totals, key=lambda link: -max(totals[link]["bytes_in"], totals[link]["bytes_out"]))
    first, last = min(begun_ns), max(ended_ns)
    width_ns = max(FINEST_NS, -((first - last) // PARTS))
    return RecordedLinks(
        totals={link: totals[link] for link in busiest},
        most_queued_bytes=most_queued,
        busiest=_histories(path, busiest[:most], first, width_ns),
        begun_ns=first,
        ended_ns=last,
    )


def _histories(path: Path, links: Sequence[str], origin_ns: int, width_ns: int) -> tuple[LinkHistory, ...]:
    histories = {link: LinkHistory(link=link, queued_bytes=Bins(width_ns)) for link in links}
    for counts in _lines(path):
        if (history := histories.get(counts.link)) is None:
            continue
        for name in _TOTALS:
            if (values := getattr(counts, name)) is not None:
                total = history.totals.setdefault(name, Total(origin_ns, width_ns))
                for at_ns, value in zip(counts.at_ns, values, strict=True):
                    total.add(at_ns, value)
        if counts.queued_bytes is not None:
            history.queued_bytes.extend(counts.at_ns, counts.queued_bytes)
    return tuple(histories.values())


def _lines(path: Path) -> Iterator[LinkCounts]:
    for event in records.read(path):
        if isinstance(event, LinkCounts) and event.at_ns:
            columns = (getattr(event, name) for name in (*_TOTALS, "queued_bytes"))
            if any(values is not None and len(values) != len(event.at_ns) for values in columns):
                raise ValueError(f"a line of {event.link} has columns of different lengths")
            yield event


def _growth(before: int, values: Sequence[int]) -> int:
    """Return by how much a total grows from `before` to the last of its values; one that falls has begun anew."""
    grown = 0
    for value in values:
        grown += value - before if value >= before else value
        before = value
    return grown
