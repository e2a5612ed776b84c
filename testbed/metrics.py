"""The figures that there are of a workload, each with its unit and its meaning.

Below the topology, whose `expect` names them; what computes them is `testbed.workloads`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.third_party import third_party

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SUFFIXES: Mapping[str, str] = MappingProxyType({"ns": "_ns", "bit/s": "_bps", "ratio": "_ratio"})
"""What a name says of its unit; `_bytes` stays in labels, for bytes delivered are not messages delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure.

    Attributes:
        name: with its unit where it has one.
        unit: `ns`, `bytes`, `bit/s`, a thing that is counted, `ratio` (from 0 to 1) or `name` (text).
        description: one sentence, with the RFC that defines it.
        kinds: the kinds of workload that have it; of a third party's, whatever it declares it for.
    """

    name: str
    unit: str
    description: str
    kinds: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name that people write: without its unit, a statistic after a dot: `goodput`, `latency.p99`."""
        bare = self.name.removesuffix(_SUFFIXES.get(self.unit, ""))
        return re.sub(r"_(min|max|mean|p[0-9]+)$", r".\1", bare)


GROUP = "testbed.metrics"

_TCP = ("tcp-stream", "tcp-rr")
_STREAMS = ("tcp-stream", "udp-stream")
_MESSAGES = ("tcp-rr", "udp-stream", "udp-rr", "ping")
_LOSSY = ("udp-stream", "udp-rr", "ping")
_LATENCY = "latency (tcp-rr, udp-rr: request to whole reply; udp-stream: one way, RFC 7679; ping: round trip, RFC 2681)"


def _metric(name: str, unit: str, kinds: tuple[str, ...], description: str) -> Metric:
    return Metric(name=name, unit=unit, kinds=kinds, description=description)


OWN: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _metric("sent", "messages", _MESSAGES, "Datagrams, requests or echo requests sent."),
            _metric("delivered", "messages", _MESSAGES, "Of those sent, how many arrived or were answered in time."),
            _metric(
                "lost", "messages", _MESSAGES, "Of those sent, how many never arrived or were not answered in time."
            ),
            _metric("loss_ratio", "ratio", _MESSAGES, "Lost per sent (one way: RFC 7680)."),
            _metric("late", "messages", ("udp-rr",), "Of those lost, how many were answered after the time-out."),
            _metric("duplicates", "messages", _LOSSY, "Arrivals of what had arrived before (RFC 5560)."),
            _metric("reordered", "messages", ("udp-stream", "ping"), "Type-P-Reordered messages (RFC 4737, 3.3)."),
            _metric("loss_runs", "runs", _LOSSY, "Runs of messages lost in a row (loss periods, RFC 3357)."),
            _metric("loss_run_mean", "messages", _LOSSY, "Mean length of those runs."),
            _metric("loss_run_max", "messages", _LOSSY, "Length of the longest of those runs."),
            _metric("sent_bytes", "bytes", _STREAMS, "Payload handed to the sender's kernel."),
            _metric(
                "delivered_bytes", "bytes", _STREAMS, "Payload that arrived, each byte counted (TCP: checked) once."
            ),
            _metric(
                "goodput_bps",
                "bit/s",
                _STREAMS,
                "Payload delivered per time from the first arrival to the last (UDP: what came after the first).",
            ),
            _metric(
                "setup_ns", "ns", _TCP, "Connection set-up, from the connect call to its return; median of several."
            ),
            _metric("connections", "connections", _TCP, "Connections set up."),
            _metric("first_byte_ns", "ns", _STREAMS, "From the sender's connect or first send to the first arrival."),
            _metric("retransmits", "segments", _TCP, "TCP segments sent again, by both ends (tcp-stream: the sender)."),
            _metric("congestion", "name", _TCP, "TCP congestion control that the initiator used, as its kernel says."),
            _metric("latency_min_ns", "ns", _MESSAGES, f"Least {_LATENCY}."),
            _metric("latency_p50_ns", "ns", _MESSAGES, f"Median, nearest rank, of the {_LATENCY}."),
            _metric("latency_p90_ns", "ns", _MESSAGES, f"90th percentile, nearest rank, of the {_LATENCY}."),
            _metric("latency_p99_ns", "ns", _MESSAGES, f"99th percentile, nearest rank, of the {_LATENCY}."),
            _metric("latency_max_ns", "ns", _MESSAGES, f"Greatest {_LATENCY}."),
            _metric(
                "jitter_ns", "ns", ("udp-stream",), "Interarrival jitter at the end of the stream (RFC 3550, 6.4.1)."
            ),
            _metric(
                "receiver_drops",
                "datagrams",
                ("udp-stream", "udp-rr"),
                "Datagrams that reached the listener's socket and found it full: lost by the machine, not the path.",
            ),
            _metric(
                "strangers",
                "datagrams",
                ("udp-stream", "udp-rr"),
                "Datagrams of other senders, or of another size, that reached the workload's sockets.",
            ),
            _metric(
                "pacing_late_p99_ns",
                "ns",
                ("udp-stream",),
                "99th percentile, nearest rank, of how long after its due time a datagram was sent.",
            ),
        )
    }
)
"""The metrics of the testbed's own kinds."""


def with_kinds(metrics: Mapping[str, Metric], kinds: Mapping[str, Iterable[Metric | str]]) -> dict[str, Metric]:
    """Metrics, and those of further kinds.

    Args:
        metrics: by name.
        kinds: of each further kind its metrics: new ones, and names of those that there are.

    Raises:
        MachineError: `broken-plugin`: a name that is not there, or is there with another unit.
    """
    found = dict(metrics)
    for kind, declared in kinds.items():
        for one in declared:
            name = one if isinstance(one, str) else one.name
            known = found.get(name, None if isinstance(one, str) else one)
            if known is None or not (isinstance(one, str) or one.unit == known.unit):
                has = f"{name!r} in {one.unit}" if isinstance(one, Metric) else f"{name!r}"
                there = f"it is there in {known.unit}" if known else "which is no metric"
                raise MachineError("broken-plugin", f"the kind {kind!r} has {has}; {there}", "mend or uninstall it")
            found[name] = replace(known, kinds=(*(known.kinds if name in found else ()), kind))
    return found


METRICS: Mapping[str, Metric] = MappingProxyType(with_kinds(OWN, third_party(GROUP)))
"""Every metric by name, those of third parties too. A summary has exactly those of its workload's kind."""
