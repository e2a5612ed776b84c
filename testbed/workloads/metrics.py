"""The formulas, each with its source; times are in ns. What became of messages is in `testbed.records.ledger`."""

from __future__ import annotations

from collections import Counter
from itertools import count, pairwise, repeat
from operator import floordiv, rshift, sub
from typing import TYPE_CHECKING, Protocol

from testbed.endpoint.columns import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from fractions import Fraction

_SECOND = 1_000_000_000
_DIGIT_BITS = 14


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The percentile by nearest rank: the least value that at least `percent` % of the values do not exceed.

    It is always one of the values; in fewer than 100 of them the 99th percentile is the greatest.

    Args:
        ordered: at least one value, in ascending order.
        percent: from 1 to 100.
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]


class Values(Protocol):
    """Integers that can be gone through again and again."""

    def __iter__(self) -> Iterator[int]:
        """Go through them."""

    def __len__(self) -> int:
        """How many there are."""


def percentiles(values: Values, percents: Sequence[int]) -> list[int]:
    """Percentiles as `percentile` gives them, of values in any order that need not be in memory.

    The values are gone through for their bounds, and then once for every 14 bits of what lies between these: those that
    share the leading bits of the one wanted are counted by their next 14 (radix selection).

    Args:
        values: at least one.
        percents: each from 1 to 100.
    """
    low, high = min(values), max(values)
    wanted = [(0, -(-len(values) * percent // 100)) for percent in percents]
    for shift in reversed(range(0, (high - low).bit_length(), _DIGIT_BITS)):
        known = {leading for leading, _ in wanted}
        cut = map(rshift, map(low.__rsub__, values), repeat(shift))
        counts = Counter(cut if known == {0} else (each for each in cut if each >> _DIGIT_BITS in known))
        wanted = [_descend(counts, leading, rank) for leading, rank in wanted]
    return [low + value for value, _ in wanted]


def _descend(counts: Mapping[int, int], leading: int, rank: int) -> tuple[int, int]:
    """What the value of that rank begins with, of those that begin with `leading`; and its rank among those."""
    for longer in sorted(each for each in counts if each >> _DIGIT_BITS == leading):
        if rank <= counts[longer]:
            break
        rank -= counts[longer]
    return longer, rank


def jitter_ns(transits_ns: Iterable[int]) -> float | None:
    """Interarrival jitter (RFC 3550, 6.4.1 and A.8) at the end of a stream.

    J starts at 0; with each packet after the first, J += (|D| - J) / 16, where D is the change of the transit time from
    the packet before. None for fewer than two packets.

    Args:
        transits_ns: in order of arrival.
    """
    jitter, later = 0.0, None
    for earlier, later in pairwise(transits_ns):
        jitter += (abs(later - earlier) - jitter) / 16
    return None if later is None else jitter


def rate_bps(size_bytes: int, duration_ns: int) -> float | None:
    """Bits per second; None over no time at all."""
    return size_bytes * 8 * _SECOND / duration_ns if duration_ns > 0 else None


def pacing_late_ns(sent_ns: Iterable[int], *, start_ns: int, interval_ns: Fraction) -> int | None:
    """How long after it was due the 99th of 100 messages of a steady stream was sent; None where none was.

    Args:
        sent_ns: per message.
        start_ns: when the first was due.
        interval_ns: from then on, one is due after each interval.
    """
    parts = interval_ns.denominator
    due_ns = map(floordiv, count(start_ns * parts, interval_ns.numerator), repeat(parts))
    late = Column()
    late.extend(map(sub, sent_ns, due_ns))
    return percentiles(late, [99])[0] if late else None
