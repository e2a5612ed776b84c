"""The metrics of workloads, each with its unit and its meaning.

The topology, whose `expect` names metrics, imports this module; `testbed.workloads` computes them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.kinds import AGGREGATES, REPORTED, Metric, kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["METRICS", "Metric", "find", "metric_of", "metrics_of", "with_kinds"]

_LATENCY = (
    "latency (tcp-rr, udp-rr, http, dns: request to whole reply; udp-stream, tcp-messages: one way, RFC 7679; "
    "ping: round trip, RFC 2681)"
)

_TTFB = "time to the first byte of a response, from its request (with `connect: each`, from the connect call)"


def _metric(name: str, unit: str, description: str, *, adds_up: bool | None = None) -> Metric:
    return Metric(name=name, unit=unit, description=description, adds_up=adds_up)


_DEFINED: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _metric("sent", "messages", "Datagrams, requests or echo requests sent."),
            _metric(
                "delivered", "messages", "Of those sent, how many arrived or were answered in time (http: with 2xx)."
            ),
            _metric("lost", "messages", "Of those sent, how many never arrived or were not answered in time."),
            _metric("loss_ratio", "ratio", "Lost per sent (one way: RFC 7680)."),
            _metric("late", "messages", "Of those lost, how many were answered after the time-out."),
            _metric("duplicates", "messages", "Further copies, those after a time-out left out (RFC 5560)."),
            _metric("reordered", "messages", "Type-P-Reordered messages (RFC 4737, 3.3)."),
            _metric("loss_runs", "runs", "Runs of messages lost in a row (loss periods, RFC 3357)."),
            _metric("loss_run_mean", "messages", "Mean length of those runs.", adds_up=False),
            _metric("loss_run_max", "messages", "Length of the longest of those runs.", adds_up=False),
            _metric("sent_bytes", "bytes", "Payload handed to the sender's kernel (http: of requests' bodies)."),
            _metric("delivered_bytes", "bytes", "Payload that arrived, each byte counted (TCP: checked) once."),
            _metric(
                "goodput_bps",
                "bit/s",
                "Payload delivered per time from the first arrival to the last (of messages: what came after it).",
            ),
            _metric(
                "setup_ns",
                "ns",
                "Connection set-up, from the connect call to its return, TLS included; median of several.",
            ),
            _metric("tls_ns", "ns", "The part of that for TLS: from the end of TCP's handshake to the end of TLS's."),
            _metric("connections", "connections", "Connections set up."),
            _metric("first_byte_ns", "ns", "From the sender's connect or first send to the first arrival."),
            _metric(
                "retransmits",
                "segments",
                "TCP segments sent again, by both ends (of a stream: the sender; http: the client).",
            ),
            _metric("rtt_min_ns", "ns", "Least round-trip time that the client's TCP has measured (tcpi_min_rtt)."),
            _metric("rtt_p50_ns", "ns", "Median of TCP's smoothed round-trip time, sampled each 0.1 s (RFC 6298)."),
            _metric(
                "rwnd_limited_ratio",
                "ratio",
                "Of the time that the sender had data under way, how long the receiver's window held it up.",
            ),
            _metric(
                "sndbuf_limited_ratio",
                "ratio",
                "Of the time that the sender had data under way, how long its own send buffer held it up.",
            ),
            _metric("congestion", "name", "TCP congestion control that the client used, as its kernel says."),
            _metric("latency_min_ns", "ns", f"Least {_LATENCY}."),
            _metric("latency_p50_ns", "ns", f"Median, nearest rank, of the {_LATENCY}."),
            _metric("latency_p90_ns", "ns", f"90th percentile, nearest rank, of the {_LATENCY}."),
            _metric("latency_p99_ns", "ns", f"99th percentile, nearest rank, of the {_LATENCY}."),
            _metric("latency_max_ns", "ns", f"Greatest {_LATENCY}."),
            _metric("jitter_ns", "ns", "Interarrival jitter at the end of the stream (RFC 3550, 6.4.1)."),
            _metric(
                "receiver_drops",
                "datagrams",
                "Datagrams that reached the server's socket and found it full: lost by the machine, not the path.",
            ),
            _metric(
                "corrupted",
                "datagrams",
                "Datagrams of which a bit of the header was inverted on the way; they count as lost.",
            ),
            _metric(
                "strangers",
                "datagrams",
                "Datagrams of other senders, or of another size, that reached the workload's sockets.",
            ),
            _metric(
                "pacing_late_p99_ns",
                "ns",
                "99th percentile, nearest rank, of how long after its due time a message was sent (TCP: made).",
            ),
            _metric("ttfb_p50_ns", "ns", f"Median, nearest rank, of the {_TTFB}."),
            _metric("ttfb_p90_ns", "ns", f"90th percentile, nearest rank, of the {_TTFB}."),
            _metric("ttfb_p99_ns", "ns", f"99th percentile, nearest rank, of the {_TTFB}."),
            _metric("request_rate", "requests/s", "Requests delivered, from the first request to the last response."),
            _metric("error_responses", "responses", "Whole responses with a status other than 2xx (RFC 9110, 15)."),
            _metric("failed", "requests", "Requests without a whole response: not connected, closed, reset, corrupt."),
            _metric("statuses", "name", "How many responses had which status."),
            _metric("protocol", "name", "Version of HTTP, and of TLS, as agreed with the server."),
            _metric("server", "name", "What the server calls itself (RFC 9110, 10.2.4)."),
            _metric("repeated", "queries", "Queries sent again because no answer had come in time."),
            _metric("truncated", "answers", "Answers too long for a datagram, asked for again over TCP (RFC 7766, 5)."),
            _metric("error_answers", "answers", "Answers that were an error: any RCODE but NOERROR (RFC 1035, 4.1.1)."),
            _metric("duration_ns", "ns", "From the start of the program to its end."),
            _metric("samples", "samples", "Lines of its output that are JSON objects."),
            _metric("lines", "lines", "Other lines of what it wrote, errors included."),
        )
    }
)
"""The metrics, without their kinds."""


def with_kinds(metrics: Mapping[str, Metric], kinds: Mapping[str, Iterable[Metric | str]]) -> dict[str, Metric]:
    """Return the metrics with their kinds filled in, and the new metrics that kinds declare.

    Args:
        metrics: the metrics by name.
        kinds: for each kind its metrics: new ones, and names of existing ones.

    Raises:
        MachineError: `broken-plugin`: a name does not exist, or exists with another unit.
    """
    merged = dict(metrics)
    for kind, declared in kinds.items():
        for metric in declared:
            name = metric if isinstance(metric, str) else metric.name
            known = merged.get(name, None if isinstance(metric, str) else metric)
            if known is None or not (isinstance(metric, str) or metric.unit == known.unit):
                has = f"{name!r} in {metric.unit}" if isinstance(metric, Metric) else f"{name!r}"
                there = f"it is there in {known.unit}" if known else "which is no metric"
                raise MachineError("broken-plugin", f"the kind {kind!r} has {has}; {there}", "mend or uninstall it")
            merged[name] = known._replace(kinds=(*(known.kinds if name in merged else ()), kind))
    return merged


METRICS: Mapping[str, Metric] = MappingProxyType(
    with_kinds(_DEFINED, {name: kind.metrics for name, kind in kinds().items()})
)
"""All metrics by name, including those of other packages. A summary has exactly the metrics of its workload's kind."""

_REPORTING = tuple(name for name, kind in kinds().items() if kind.reports_numbers)


def aggregate(metric: Metric, how: str) -> Metric:
    """Return one of the aggregates of a metric, of a workload that the members of a group run, as a metric."""
    return metric._replace(name=f"{metric.name}.{how}")


def metric_of(name: str) -> Metric:
    """Return the metric of that name; a metric without a unit if it is not declared, as for numbers of a `command`."""
    if name in METRICS:
        return METRICS[name]
    base, _, how = name.rpartition(".")
    if how in AGGREGATES and base in METRICS:
        return aggregate(METRICS[base], how)
    return Metric(name=name, unit="", description="As the program reported it.", kinds=_REPORTING)


def metrics_of(kind: str | None) -> dict[str, Metric]:
    """Return the declared metrics of a kind of workload by label; all metrics if the kind is None."""
    return {metric.label: metric for metric in METRICS.values() if kind is None or kind in metric.kinds}


def find(label: str, kind: str | None) -> Metric | None:
    """Return the metric of a kind of workload by its label, such as `latency.p50`, or None if there is none.

    Numbers that a program reports may have any name, since their names are known only after a run.
    """
    if label.startswith(REPORTED) and (kind is None or kind in _REPORTING):
        return metric_of(label)
    return metrics_of(kind).get(label)


def find_aggregate(label: str, kind: str | None) -> Metric | None:
    """Return the aggregate of a metric by its label, such as `goodput.median`, or None if there is none."""
    base, _, how = label.rpartition(".")
    metric = find(base, kind) if how in AGGREGATES else None
    return aggregate(metric, how) if metric and how in metric.aggregates else None
