"""Tell what a late machine did to a measurement from what the link itself did, by the counters of the link's engine.

An engine that gets no processor releases packets late, and loses those that the kernel has no room for. It counts both
(`testbed.engines.counters`). A finding that this explains is no verdict on the link: it is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed.check.comparing import TOO_LOW
from testbed.check.judging import TIMING
from testbed.check.schedules import SLACK_NS
from testbed.check.verdict import unmeasured
from testbed.engines.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.check.verdict import Finding, LinkCheck
    from testbed.matching import LinkKey

LATE_SHARE = 0.05
"""The share of late packets from which times are the machine's. The median of a delay needs half of the packets to be
off, a jitter a quarter, and a distribution a tenth."""

_FILLED = ("rate", "bucket", "peak")
_LOST = ("loss", "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """What an engine counted on a link, or the worst of several, while it was probed.

    Attributes:
        share: of the packets released, those that were late.
        most_ns: the most by which any packet was late since the link was made or restarted.
        dropped: packets that the machine lost: those that the engine did not read or hold in time, and those that the
            receiver's port refused.
    """

    share: float = 0.0
    most_ns: int = 0
    dropped: int = 0

    @classmethod
    def between(cls, before: Counters, after: Counters) -> Lateness:
        """Return what was counted from one reading of the counters to the next."""

        def more(name: str) -> int:
            return max((getattr(after, name) or 0) - (getattr(before, name) or 0), 0)

        return cls(
            share=more("late") / max(more("packets_out"), 1),
            most_ns=after.lateness_max_ns or 0,
            dropped=more("kernel_drops") + more("backlog_drops") + more("send_failures"),
        )

    def or_worse(self, other: Lateness) -> Lateness:
        """Return the worse of both in each respect."""
        return Lateness(
            share=max(self.share, other.share),
            most_ns=max(self.most_ns, other.most_ns),
            dropped=max(self.dropped, other.dropped),
        )

    def explains(self, finding: Finding, sent: int) -> bool:
        """Return whether a machine as late as this may have made a finding wrong.

        Args:
            finding: that did not pass.
            sent: how many probes of loss were sent.
        """
        was_late = self.share >= LATE_SHARE
        if finding.measured is None or finding.verdict == TOO_LOW:
            return finding.name in _FILLED and (was_late or self.dropped > 0)
        excess = finding.measured - finding.asked
        if finding.name in _LOST:
            given_up = self.share * sent if self.most_ns > SLACK_NS else 0  # later than the receiver waits
            if finding.name == "loss":
                return excess * sent <= 2 * (self.dropped + given_up)
            return self.dropped > 0 or given_up > 0
        if finding.name == "distribution":
            return was_late
        if finding.name in TIMING:
            return was_late and excess <= self.most_ns * (2 if finding.name == "jitter" else 1)
        return finding.name == "queue" and (was_late or self.dropped > 0)

    def __str__(self) -> str:
        parts = [f"the engine released {self.share:.0%} of its packets late, one by {self.most_ns / 1e6:.1f} ms"]
        parts += [f"lost {self.dropped}"] * bool(self.dropped)
        return " and ".join(parts)


def met_another(sent_ns: Iterable[int], service_ns: int) -> list[bool]:
    """Return for each probe whether an earlier one may have kept it waiting at a bottleneck.

    A sender that has fallen behind sends probes at once. Those that wait for each other there say nothing of the link;
    the others do.

    Args:
        sent_ns: when the probes were sent, ascending.
        service_ns: the most time that the bottleneck takes for one; 0 without a bottleneck.
    """
    met, free_ns = [], 0
    for at_ns in sent_ns:
        met.append(at_ns < free_ns)
        free_ns = max(free_ns, at_ns) + service_ns
    return met


def of_crowded(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings on probes of which many met each other; what these can't tell counts as not measured.

    A burst of probes may be more than a queue or a policer takes, so a loss is not the link's. Times are those of the
    probes that met no other, of which there may be too few.
    """
    reason = "this machine was too busy to send probes evenly"

    def says_nothing(finding: Finding) -> bool:
        if finding.name in TIMING:
            return finding.measured is None
        return finding.name in _LOST and not finding.passed and finding.verdict != TOO_LOW

    return tuple(
        unmeasured(finding.name, finding.asked, reason) if says_nothing(finding) else finding for finding in findings
    )


def excused(
    checks: Iterable[LinkCheck], before: Mapping[LinkKey, Counters], after: Mapping[LinkKey, Counters]
) -> tuple[LinkCheck, ...]:
    """Return checks in which findings that the machine's lateness explains count as not measured.

    Args:
        checks: of links and paths. What a path crosses counts as late as the latest link of all.
        before: the counters of all links before they were probed.
        after: the same afterwards.
    """
    lateness = {key: Lateness.between(before.get(key, Counters()), counts) for key, counts in after.items()}
    worst = Lateness()
    for each in lateness.values():
        worst = worst.or_worse(each)
    return tuple(
        _excused(check, worst if check.path or check.beside else lateness.get(check.key, Lateness()))
        for check in checks
    )


def _excused(check: LinkCheck, lateness: Lateness) -> LinkCheck:
    findings = tuple(
        unmeasured(finding.name, finding.asked, f"this machine was too busy: {lateness}")
        if not finding.passed and lateness.explains(finding, check.sent)
        else finding
        for finding in check.findings
    )
    return check if findings == check.findings else replace(check, findings=findings)
