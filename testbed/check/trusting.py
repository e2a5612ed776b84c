"""Whether a run can be trusted: the reasons not to, and their bounds.

A run is trusted if it is whole, its links were measured and are as requested, and the emulation kept up: the engines
dropped nothing for want of time, and neither they nor the senders were late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.agent.messages import AttachmentReport, LinkStatistics

LATENESS_NS = 5_000_000
LATENESS_RATIO = 0.1
"""The most by which 99 of 100 packets may be late, the larger of the two. An engine that has a core when it needs one
is late by tenths of a millisecond; one that has to wait for other work's time slices (3 ms each in Linux) by more."""

UNCHECKED = "the links were not measured (--no-check)"
"""Why a run without a check is not trusted."""

_FAULTS = {
    "kernel_drops": "packets dropped by the kernel because the engine did not read them in time",
    "backlog_drops": "packets dropped because more were in flight than the engine holds",
    "oversize": "packets dropped because they are larger than the MTU: an offload is on that must be off",
    "send_failures": "packets that the receiver's port refused",
}
"""Counters that are 0 in a trusted run, of engines that have them (`testbed.engines.counters`)."""


def trust(statistics: Sequence[LinkStatistics], *, before: Sequence[LinkStatistics] = ()) -> tuple[str, ...]:
    """Why a run is not trusted, as far as the engines of its links know.

    Args:
        statistics: what the agent's call `statistics` says after the run.
        before: what it said before; what had gone wrong by then is not the run's. Lateness is since the link was made.

    Returns:
        A sentence per kind of reason, with the worst link's figures where several give it; none where the
        engines kept up.
    """
    earlier = {str(link): link.counts for link in before}
    reasons: dict[str, list[tuple[float, str, str]]] = {}
    for link in statistics:
        for kind, size, reason in _reasons(link, earlier.get(str(link), Counters())):
            reasons.setdefault(kind, []).append((size, str(link), reason))
    for ends in sorted(earlier.keys() - {str(link) for link in statistics}):
        reasons.setdefault("gone", []).append((0, ends, "its counters are gone"))
    return tuple(_together(found, "links") for found in reasons.values())


def disturbances(before: AttachmentReport, after: AttachmentReport) -> tuple[str, ...]:
    """What happened to nodes and their ports during a run, for which it is not to be trusted.

    Args:
        before: what the agent's call `attachments` says before the run.
        after: what it says after it.

    Returns:
        A sentence for each thing that happened, and for each port that dropped packets of unknown source.
    """
    seen = max((incident.number for incident in before.incidents), default=0)
    happened = [incident.what for incident in after.incidents if incident.number > seen]
    dropped = {port: count - before.unknown_dropped.get(port, 0) for port, count in after.unknown_dropped.items()}
    unknown = [
        f"{port}: {count} packets were dropped because their source MAC is no node's"
        for port, count in dropped.items()
        if count > 0
    ]
    return tuple(dict.fromkeys([*happened, *after.problems, *unknown]))


def late_senders(senders: Iterable[tuple[str, int, float]]) -> tuple[str, ...]:
    """Why a run is not trusted, as far as the programs know that sent its traffic at set times.

    Args:
        senders: of each workload its name, how late one message in 100 was sent, or later, and the time from one
            message to the next, both ns. The bound is as of the engine, with that time in place of the delay: a pause
            and a burst after it are not the traffic of the file.

    Returns:
        One sentence, with the worst workload's figures where several were late; none where all were in time.
    """
    late = [
        (late_ns, f"workload {name}", _late("message in 100 was sent", late_ns, interval_ns))
        for name, late_ns, interval_ns in senders
        if late_ns > _bound_ns(interval_ns)
    ]
    return (_together(late, "workloads"),) if late else ()


def _bound_ns(scale_ns: float) -> float:
    return max(LATENESS_NS, scale_ns * LATENESS_RATIO)


def _late(what: str, late_ns: float, scale_ns: float) -> str:
    return (
        f"one {what} {late_ns / 1e6:.1f} ms late or more, {_bound_ns(scale_ns) / 1e6:.0f} ms are the most: "
        "this machine was too busy"
    )


def _together(found: Sequence[tuple[float, str, str]], noun: str) -> str:
    """One sentence for a reason that several links or workloads give."""
    _, ends, reason = max(found, key=lambda each: each[0])
    if len(found) == 1:
        return f"{ends}: {reason}"
    return f"{len(found)} {noun}: {reason} (the worst of them: {ends})"


def _reasons(link: LinkStatistics, earlier: Counters) -> Iterator[tuple[str, float, str]]:
    """Per reason its kind, how bad it is, and the sentence."""
    counts = link.counts
    if counts.dead is not None:
        yield "dead", 0, f"the link is dead: {counts.dead}"
    for name, what in _FAULTS.items():
        count = (getattr(counts, name) or 0) - (getattr(earlier, name) or 0)
        if count > 0:
            yield name, count, f"{count} {what}"
    delay_ns, late_ns = link.impairments.delay_ns, counts.lateness_p99_ns or 0
    if late_ns > _bound_ns(delay_ns):
        yield "late", late_ns, _late("packet in 100 left", late_ns, delay_ns)
