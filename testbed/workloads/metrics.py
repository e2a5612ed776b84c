"""The formulas of metrics, each with its source. Times are in ns. `testbed.records.ledger` counts the messages."""

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
    """Return the percentile by nearest rank: the least value that at least `percent` % of the values do not exceed.

    It is always one of the values; the 99th percentile of fewer than 100 values is the greatest.

    Args:
        ordered: at least one value, in ascending order.
        percent: from 1 to 100.
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]


class Values(Protocol):
    """Integers that can be iterated several times."""

    def __iter__(self) -> Iterator[int]:
        """Iterate over the values."""

    def __len__(self) -> int:
        """Return the number of values."""


def percentiles(values: Values, percents: Sequence[int]) -> list[int]:
    """Return percentiles by nearest rank of values in any order, which need not fit into memory.

    This is radix selection: after a pass for the bounds, each pass over the values counts those that share the leading
    bits of the wanted value by their next 14 bits.

    Args:
        values: at least one.
        percents: each from 1 to 100.
    """
    low, high = min(values), max(values)
    wanted = [(0, -(-len(values) * percent // 100)) for percent in percents]
    for shift in reversed(range(0, (high - low).bit_length(), _DIGIT_BITS)):
        known = {leading for leading, _ in wanted}
        cut = map(rshift, map(low.__rsub__, values), repeat(shift))
        counts = Counter(cut if known == {0} else (prefix for prefix in cut if prefix >> _DIGIT_BITS in known))
        wanted = [_descend(counts, leading, rank) for leading, rank in wanted]
    return [low + value for value, _ in wanted]


def _descend(counts: Mapping[int, int], leading: int, rank: int) -> tuple[int, int]:
    """Return the next longer prefix of the value with that rank among those with prefix `leading`, and its new rank."""
    for longer in sorted(prefix for prefix in counts if prefix >> _DIGIT_BITS == leading):
        if rank <= counts[longer]:
            break
        rank -= counts[longer]
    return longer, rank


def jitter_ns(transits_ns: Iterable[int]) -> float | None:
    """Return the interarrival jitter (RFC 3550, 6.4.1 and A.8) at the end of a stream.

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
    """Return the rate in bit/s, or None if the duration is 0."""
    return size_bytes * 8 * _SECOND / duration_ns if duration_ns > 0 else None


def pacing_late_ns(sent_ns: Iterable[int], *, start_ns: int, interval_ns: Fraction) -> int | None:
    """Return the 99th percentile of how late the messages of a steady stream were sent; None without messages.

    Args:
        sent_ns: the time of sending of each message.
        start_ns: the due time of the first message.
        interval_ns: the time from one due message to the next.
    """
    parts = interval_ns.denominator
    due_ns = map(floordiv, count(start_ns * parts, interval_ns.numerator), repeat(parts))
    late = Column()
    late.extend(map(sub, sent_ns, due_ns))
    return percentiles(late, [99])[0] if late else None
