"""What was requested of a link and what was measured: a finding on each property of its impairments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.impairments import Impairments

AS_REQUESTED = "as requested"
"""The verdict on what is right."""

_RIGHT = (AS_REQUESTED, "as asked")
"""The same in runs that are kept; the second is what early ones say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One property of a link: the value that was requested, the value that was measured, and the verdict.

    Attributes:
        name: of the property, see `asked`.
        asked: what the impairments says, in the words of the file:
            `delay` (ns) of one way; `delay_p95` (ns), the 95th percentile that delay and jitter come to;
            `jitter` (ns), as the file has it: of a uniform distribution the greatest deviation;
            `distribution`: its greatest distance from the requested one in the share of packets; 0;
            `loss`, `duplicates`, `reordered`, `corruption`: ratios; loss is everything that does not arrive as it was
            sent, reordered is what left its place;
            `burst`: packets lost in a row, the mean;
            `rate` (bit/s), of a trace the mean; `queue` (bytes); `drops`: how many are scripted.
        measured: the estimate of the same; None where nothing was measured.
        interval: where the true value is with a confidence of 99 %; None where there is no such interval.
        verdict: `as requested`, or what is wrong, or why nothing was measured, in a few words.
        passed: nothing speaks against it being as requested.
        asked_range: the least and most that is right, where the impairments does not say one value: of a trace, its
            rates within windows as long as the measured one; of delays before a slow bottleneck, with and without the
            wait that a lone probe may meet there.
    """

    name: str
    asked: float
    measured: float | None
    interval: tuple[float, float] | None
    verdict: str
    passed: bool
    asked_range: tuple[float, float] | None = None


def unmeasured(name: str, requested: float, why: str) -> Finding:
    """A finding on what was not measured: nothing speaks against it, and nothing for it."""
    return Finding(
        name=name, asked=requested, measured=None, interval=None, verdict=f"not measured: {why}", passed=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCheck:
    """A link's impairments, as requested and as measured.

    Attributes:
        source, destination, network: the link.
        asked: its impairments.
        sent, arrived: probes of delay and loss.
        findings: one for each property; empty where the link could not be probed.
        problem: why it could not be probed, or None.
        skipped: why it was not probed, though nothing speaks against it, or None.
    """

    DERIVED: ClassVar = ("passed", "verdict")

    source: str
    destination: str
    network: str
    asked: Impairments
    sent: int
    arrived: int
    findings: tuple[Finding, ...]
    problem: str | None = None
    skipped: str | None = None

    @property
    def link(self) -> str:
        """The link's name in messages and results."""
        return f"{self.source} -> {self.destination}"

    @property
    def passed(self) -> bool:
        """Whether the link is as requested."""
        return self.problem is None and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """`as requested`, or everything that is wrong, or why nothing was measured."""
        if self.problem is not None or self.skipped is not None:
            return f"not measured: {self.problem or self.skipped}"
        wrong = [f"{finding.name} {finding.verdict}" for finding in self.findings if not finding.passed]
        return ", ".join(wrong) or AS_REQUESTED

    @property
    def reservations(self) -> tuple[str, ...]:
        """What is not wrong, but not proven right either, with the reason: `drops not measured: ...`."""
        if self.problem is None and self.skipped is not None:
            return (self.verdict,)
        return tuple(
            f"{each.name} {each.verdict}" for each in self.findings if each.passed and each.verdict not in _RIGHT
        )

    def finding(self, name: str) -> Finding | None:
        """The finding on a property, or None where there is none."""
        return next((finding for finding in self.findings if finding.name == name), None)
