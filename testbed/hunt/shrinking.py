"""Finds a small set of faults that still fails: delta debugging, then shorter and milder faults.

A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Entry = dict[str, Any]
    Fails = Callable[[Sequence[Entry]], bool]

LENGTHS = ("pause", "kill", "stop", "for", "down")
"""The keys of an entry that say how long its fault lasts."""

_SHORTEST_NS = 100_000_000
_MILDEST_PERCENT = 1
_MILDEST_DELAY_NS = 10_000_000


def shrink(entries: Sequence[Entry], fails: Fails) -> tuple[Entry, ...]:
    """Return faults of which none can be left out, and none made shorter or milder by half, without the failure.

    Args:
        entries: of a timeline, which fails.
        fails: whether a timeline of some entries, perhaps simplified, fails. It may be called with the same entries
            again, so it should remember its answers.
    """
    fewest = minimal(entries, fails)
    simpler = True
    while simpler:
        simpler = False
        for place, entry in enumerate(fewest):
            for candidate in simplifications(entry):
                tried = (*fewest[:place], candidate, *fewest[place + 1 :])
                if fails(tried):
                    fewest, simpler = tried, True
                    break
    return fewest


def minimal(entries: Sequence[Entry], fails: Fails) -> tuple[Entry, ...]:
    """Return some of the entries that fail together, but no longer fail if any one of them is removed.

    This is the algorithm ddmin: it removes large parts first, and single entries last.
    """
    kept, parts = tuple(entries), 2
    if not kept or fails(()):
        return ()
    while len(kept) > 1:
        size = -(-len(kept) // parts)
        chunks = [kept[start : start + size] for start in range(0, len(kept), size)]
        rests = [tuple(entry for other in chunks if other is not chunk for entry in other) for chunk in chunks]
        smaller = next((chunk for chunk in chunks if fails(chunk)), None) if len(chunks) > 2 else None  # noqa: PLR2004
        smaller = smaller or next((rest for rest in rests if fails(rest)), None)
        if smaller is not None:
            kept, parts = smaller, max(2, min(len(smaller), parts - 1))
        elif parts >= len(kept):
            break
        else:
            parts = min(len(kept), 2 * parts)
    return kept


def simplifications(entry: Entry) -> Iterator[Entry]:
    """Yield the entry with its fault half as long, or half as strong, where that is still a fault."""
    for key in LENGTHS:
        if isinstance(value := entry.get(key), str):
            length_ns = units.DURATION.parse(value)
            if length_ns >= 2 * _SHORTEST_NS:
                yield {**entry, key: _milliseconds(length_ns // 2)}
    if isinstance(loss := entry.get("loss"), str) and loss.endswith("%"):
        percent = float(loss.removesuffix("%"))
        if percent >= 2 * _MILDEST_PERCENT:
            yield {**entry, "loss": f"{percent / 2:g}%"}
    if isinstance(delay := entry.get("delay"), str):
        delay_ns = units.DURATION.parse(delay)
        if delay_ns >= 2 * _MILDEST_DELAY_NS:
            yield {**entry, "delay": _milliseconds(delay_ns // 2)}


def _milliseconds(time_ns: int) -> str:
    return f"{time_ns // 1_000_000}ms"
