"""What the engine knows about a link: counters, and how late frames were released."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStats:
    """Counters of one link since it was added or restarted; packets unless the name says otherwise.

    Attributes:
        packets_in, bytes_in: frames read from the link's device, from the MAC header on.
        packets_out, bytes_out: frames released, whether or not they could then be sent.
        scripted: dropped by the impairments's script.
        lost: dropped by the impairments's loss.
        corrupted, duplicated, reordered: that this happened to; a copy is one of `duplicated`, not of `packets_in`.
        queue_drops: dropped because the bottleneck's queue was full.
        codel_drops, marked: what CoDel dropped or marked.
        backlog_drops: dropped because more was in flight than this engine holds.
        in_flight: held at this moment.
        queue_most_bytes: the most that the bottleneck's queue has held.
        lateness_p50_ns, lateness_p99_ns, lateness_max_ns: how much later than requested frames were released,
            counted from their arrival in the kernel; quantiles are the upper ends of histogram buckets at most a
            quarter of their value wide.
        kernel_drops: dropped by the kernel because they were not read in time.
        oversize: frames larger than the device's MTU allows, dropped: an offload is on that must be off.
        send_failures: released, but refused by the receiver's port (down, or its queue full).
        worker: the process that carries the link, and maybe others; 0 where it has ended.
        worker_cpu_ns: processor time that this process has used since it began.
        dead: why the link passes nothing any more, or None where it works.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    scripted: int = 0
    lost: int = 0
    corrupted: int = 0
    duplicated: int = 0
    reordered: int = 0
    queue_drops: int = 0
    codel_drops: int = 0
    marked: int = 0
    backlog_drops: int = 0
    in_flight: int = 0
    queue_most_bytes: int = 0
    lateness_p50_ns: int = 0
    lateness_p99_ns: int = 0
    lateness_max_ns: int = 0
    kernel_drops: int = 0
    oversize: int = 0
    send_failures: int = 0
    worker: int = 0
    worker_cpu_ns: int = 0
    dead: str | None = None

    @property
    def dropped_for_time(self) -> int:
        """Packets that the impairments would have delivered and the engine was too slow for; 0 in a trusted run."""
        return self.kernel_drops + self.backlog_drops

    def to_json(self) -> dict[str, int | str | None]:
        """The counters as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The counters that `to_json` made `data` from."""
        return cls(**data)


class LatenessHistogram:
    """Counts of non-negative integers in buckets of a logarithmic scale, four to the octave."""

    __slots__ = ("_counts", "_most")

    def __init__(self) -> None:
        self._counts = [0] * 256  # up to 2^64
        self._most = 0

    def record(self, values: Sequence[int]) -> None:
        """Count each of `values`, below 2^63."""
        counts = self._counts
        for value in values:
            shift = (value | 4).bit_length() - 3
            counts[(shift << 2) + (value >> shift)] += 1
        self._most = max(self._most, max(values, default=0))

    @property
    def most(self) -> int:
        """The largest value seen, exactly; 0 where none was."""
        return self._most

    def quantile(self, fraction: float) -> int:
        """The upper end of the bucket that holds the `fraction` quantile, at most `most`; 0 where nothing was seen."""
        rank = fraction * sum(self._counts)
        for index, count in enumerate(self._counts):
            rank -= count
            if count and rank <= 0:
                shift = max((index >> 2) - 1, 0)
                return min(((index - (shift << 2) + 1) << shift) - 1, self._most)
        return self._most
