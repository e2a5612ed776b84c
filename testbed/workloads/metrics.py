"""The formulas, each with its source. Sequence numbers count from 0; times are in ns."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SECOND = 1_000_000_000


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The percentile by nearest rank: the least value that at least `percent` % of the values do not exceed.

    It is always one of the values; in fewer than 100 of them the 99th percentile is the greatest.

    Args:
        ordered: at least one value, in ascending order.
        percent: from 1 to 100.
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]


def jitter_ns(sent_ns: Sequence[int], received_ns: Sequence[int]) -> float | None:
    """Interarrival jitter (RFC 3550, 6.4.1 and A.8) at the end of a stream.

    J starts at 0; with each packet after the first, in order of arrival, J += (|D| - J) / 16, where D is the change of
    the transit time from the packet before. None for fewer than two packets.
    """
    if len(sent_ns) < 2:  # noqa: PLR2004 (a change needs two)
        return None
    jitter = 0.0
    transits = (received - sent for sent, received in zip(sent_ns, received_ns, strict=True))
    for earlier, later in pairwise(transits):
        jitter += (abs(later - earlier) - jitter) / 16
    return jitter


def reordered(sequence: Iterable[int]) -> int:
    """How many packets are Type-P-Reordered (RFC 4737, 3.3): numbered lower than the next one expected on arrival.

    Args:
        sequence: numbers in order of arrival, each once (a duplicate's second arrival says nothing about order).
    """
    expected = count = 0
    for number in sequence:
        if number < expected:
            count += 1
        else:
            expected = number + 1
    return count


def loss_runs(arrived: Iterable[int]) -> list[int]:
    """The lengths of the runs of packets lost in a row (loss periods, RFC 3357, 5.4), in the order of sending.

    Args:
        arrived: per packet in order of sending, 0 where it was lost.
    """
    return [sum(1 for _ in run) for got_through, run in groupby(arrived, key=bool) if not got_through]


def rate_bps(size_bytes: int, duration_ns: int) -> float | None:
    """Bits per second; None over no time at all."""
    return size_bytes * 8 * _SECOND / duration_ns if duration_ns > 0 else None


def pacing_late_ns(sent_ns: Sequence[int], *, start_ns: int, rate_bps: int, size_bytes: int) -> int | None:
    """How long after it was due the 99th of 100 messages of a steady stream was sent; None where none was.

    Args:
        sent_ns: per message.
        start_ns: when the first was due.
        rate_bps: message n is due when n messages' bits are.
        size_bytes: of a message.
    """
    bits = 8 * size_bytes * _SECOND
    late = sorted(at - start_ns - number * bits // rate_bps for number, at in enumerate(sent_ns))
    return percentile(late, 99) if late else None
