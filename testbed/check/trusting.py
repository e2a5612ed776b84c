"""Decide whether a run can be trusted: the reasons against it, and their bounds.

A run is trusted if it is whole, its links were measured and are as requested, and the emulation kept up: the engines
dropped nothing for lack of time, and neither they nor the senders were late.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from testbed.engines.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from testbed.agent.messages import AttachmentReport, LinkStatistics
    from testbed.check.verdict import LinkCheck

LATENESS_NS = 5_000_000
LATENESS_RATIO = 0.1
"""How late 99 of 100 packets may be at most; the larger of the two applies. An engine that has a core when it needs one
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


def unmeasured_links(checks: Sequence[LinkCheck] | None) -> tuple[str, ...]:
    """Return the reason not to trust a run none of whose impaired links was measured; None is a run without a check."""
    if checks is None:
        return (UNCHECKED,)
    reasons = [check.skipped for check in checks]
    if not reasons or None in reasons:
        return ()
    return (f"no link was measured: {reasons[0]}",)


def trust(
    statistics: Sequence[LinkStatistics],
    *,
    before: Sequence[LinkStatistics] = (),
    switched_off: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the reasons that the engines' counters give not to trust a run.

    Args:
        statistics: the answer of the agent's call `statistics` after the run.
        before: its answer before the run; what is counted there does not count against the run. Lateness covers the
            whole time since the link was made.
        switched_off: the nodes that the timeline switches off, whose ports refuse packets meanwhile.

    Returns:
        One sentence per kind of reason, with the values of the worst link; empty if the engines kept up.
    """
    earlier = {str(link): link.counts for link in before}
    reasons: dict[str, list[tuple[float, str, str]]] = {}
    for link in statistics:
        for kind, size, reason in _reasons(link, earlier.get(str(link), Counters())):
            if kind == "send_failures" and link.destination in switched_off:
                continue
            reasons.setdefault(kind, []).append((size, str(link), reason))
    for ends in sorted(earlier.keys() - {str(link) for link in statistics}):
        reasons.setdefault("gone", []).append((0, ends, "its counters are gone"))
    return tuple(_sentence(occurrences, "links") for occurrences in reasons.values())


def disturbances(before: AttachmentReport, after: AttachmentReport) -> tuple[str, ...]:
    """Return what happened to nodes and their ports during a run that makes it untrusted.

    Args:
        before: the answer of the agent's call `attachments` before the run.
        after: its answer after the run.

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
    """Return the reasons that late senders give not to trust a run.

    Args:
        senders: for each workload that sends at set times: its name, the 99th percentile of how late its messages were
            sent, and the time from one message to the next, both in ns. The bound is that of the engines, with the
            interval in place of the delay: a pause and then a burst are not the traffic that the file describes.

    Returns:
        One sentence, with the values of the worst workload; empty if all were in time.
    """
    late = [
        (late_ns, f"workload {name}", _late("message in 100 was sent", late_ns, interval_ns))
        for name, late_ns, interval_ns in senders
        if late_ns > _bound_ns(interval_ns)
    ]
    return (_sentence(late, "workloads"),) if late else ()


def _bound_ns(scale_ns: float) -> float:
    return max(LATENESS_NS, scale_ns * LATENESS_RATIO)


def _late(what: str, late_ns: float, scale_ns: float) -> str:
    return (
        f"one {what} {late_ns / 1e6:.1f} ms late or more, {_bound_ns(scale_ns) / 1e6:.0f} ms are the most: "
        "this machine was too busy"
    )


def _sentence(occurrences: Sequence[tuple[float, str, str]], noun: str) -> str:
    """Return one sentence for a reason that one or several links or workloads give.

    Args:
        occurrences: for each link or workload how bad it is, its name and the reason.
        noun: what they are, in the plural.
    """
    _, ends, reason = max(occurrences, key=itemgetter(0))
    if len(occurrences) == 1:
        return f"{ends}: {reason}"
    return f"{len(occurrences)} {noun}: {reason} (the worst of them: {ends})"


def _reasons(link: LinkStatistics, earlier: Counters) -> Iterator[tuple[str, float, str]]:
    """Yield for each reason its kind, how bad it is, and the sentence."""
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
