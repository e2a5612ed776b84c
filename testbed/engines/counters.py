"""The counters of a link, one type for all engines."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

DROPS = MappingProxyType(
    {
        "scripted": "dropped by script",
        "policed": "policed",
        "lost": "lost",
        "queue_drops": "queue full",
        "early_drops": "dropped early",
        "backlog_drops": "too many in flight",
        "kernel_drops": "not read in time",
        "oversize": "too large",
        "send_failures": "refused by the port",
    }
)
"""The counters of packets that a link drops, with the reason in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Counters of one link since it was made or restarted; packets unless the name says otherwise.

    A frame of segmentation offload counts as the packets that it is on the wire.

    A counter is None if the engine does not have it, so a reader needs no list of engines. Frames count from
    the MAC header on.

    Attributes:
        packets_in, bytes_in: frames that reached the link.
        packets_out, bytes_out: frames released, whether or not they could then be sent.
        scripted: dropped by the impairments' script.
        policed: dropped by the policer, beyond its rate.
        lost: dropped by the impairments' loss. netem counts together with them what it dropped because it holds no
            more, and too many by those that the queue drops while the counters are read, one after the other.
        corrupted, duplicated, reordered: to which this happened; a copy does not count in `packets_in`.
        queue_drops: dropped because the bottleneck's queue was full.
        early_drops, marked: dropped or marked by the queue's discipline (CoDel, PIE, DualPI2, RED, CAKE), although
            the queue was not full; in netem since the queue has this discipline.
        backlog_drops: dropped because more was in flight than the engine holds.
        in_flight: held at this moment.
        queued, queued_bytes: waiting for the bottleneck at this moment.
        queue_most_bytes: the most that the bottleneck's queue has held.
        lateness_p50_ns, lateness_p99_ns, lateness_max_ns: how much later than requested frames were released,
            counted from their arrival in the kernel; quantiles are the upper ends of histogram buckets at most a
            quarter of their value wide.
        late: released more than 2^20 ns, a millisecond, later than requested.
        kernel_drops: dropped by the kernel because the engine did not read them in time.
        oversize: frames dropped because their packets are larger than the device's MTU, or can't be told apart: an
            offload is on that must be off.
        send_failures: released, but refused by the receiver's port (down, or its queue full).
        origin_ns: time zero of the link's traces, ns of CLOCK_MONOTONIC.
        worker: pid of the process that carries the link, and maybe others.
        worker_cpu_ns: processor time that this process has used since it began.
        dead: why the link passes nothing any more, or None.
    """

    OMIT_DEFAULTS: ClassVar = True

    packets_in: int | None = None
    bytes_in: int | None = None
    packets_out: int | None = None
    bytes_out: int | None = None
    scripted: int | None = None
    policed: int | None = None
    lost: int | None = None
    corrupted: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    queue_drops: int | None = None
    early_drops: int | None = None
    marked: int | None = None
    backlog_drops: int | None = None
    in_flight: int | None = None
    queued: int | None = None
    queued_bytes: int | None = None
    queue_most_bytes: int | None = None
    lateness_p50_ns: int | None = None
    lateness_p99_ns: int | None = None
    lateness_max_ns: int | None = None
    late: int | None = None
    kernel_drops: int | None = None
    oversize: int | None = None
    send_failures: int | None = None
    origin_ns: int | None = None
    worker: int | None = None
    worker_cpu_ns: int | None = None
    dead: str | None = None

    @property
    def dropped(self) -> dict[str, int]:
        """How many packets the link has dropped, by the reason in words; without reasons that it never had."""
        return {words: count for name, words in DROPS.items() if (count := getattr(self, name))}
