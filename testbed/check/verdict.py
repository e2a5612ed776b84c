"""What was asked of a link against what was measured: a finding on each property of its shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.shape import Shape

AS_ASKED = "as asked"
"""The verdict on what is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One property of a link.

    Attributes:
        name: of the property; see `asked`.
        asked: what the shape says:
            `delay` and `delay_p95` (ns): median and 95th percentile of the one-way delay;
            `jitter` (ns): its standard deviation (0.58 of the jitter that is asked for as uniform);
            `distribution`: its greatest distance from the asked one in the share of packets; 0;
            `loss`, `duplicates`, `reordered`, `corruption`: ratios; loss is all that does not arrive as it was sent,
            reordered is what left its place;
            `burst`: packets lost in a row, the mean;
            `rate` (bit/s), of a trace the mean; `queue` (bytes); `drops`: how many are scripted.
        measured: what was found; None where nothing was measured.
        interval: where the true value is with a confidence of 99 %; None where there is no such interval.
        verdict: `as asked`, or what is wrong, or why nothing was measured, in a few words.
        passed: nothing speaks against it being as asked.
    """

    name: str
    asked: float
    measured: float | None
    interval: tuple[float, float] | None
    verdict: str
    passed: bool


def unmeasured(name: str, asked: float, why: str) -> Finding:
    """A finding on what was not measured: nothing speaks against it, and nothing for it."""
    return Finding(name=name, asked=asked, measured=None, interval=None, verdict=f"not measured: {why}", passed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCheck:
    """A link's shape, asked for and measured.

    Attributes:
        source, destination, network: the link.
        asked: its shape.
        sent, arrived: probes of delay and loss.
        findings: one for each property; empty where the link could not be probed.
        problem: why it could not be probed, or None.
    """

    DERIVED: ClassVar = ("passed", "verdict")

    source: str
    destination: str
    network: str
    asked: Shape
    sent: int
    arrived: int
    findings: tuple[Finding, ...]
    problem: str | None = None

    @property
    def link(self) -> str:
        """The link's name in messages and results."""
        return f"{self.source} -> {self.destination}"

    @property
    def passed(self) -> bool:
        """Whether the link is as asked."""
        return self.problem is None and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """`as asked`, or all that is wrong."""
        if self.problem is not None:
            return f"not measured: {self.problem}"
        wrong = [f"{finding.name} {finding.verdict}" for finding in self.findings if not finding.passed]
        return ", ".join(wrong) or AS_ASKED

    @property
    def reservations(self) -> tuple[str, ...]:
        """What is not wrong, but not proven right either, with the reason: `drops not measured: ...`."""
        return tuple(
            f"{each.name} {each.verdict}" for each in self.findings if each.passed and each.verdict != AS_ASKED
        )

    def finding(self, name: str) -> Finding | None:
        """The finding on a property, or None where there is none."""
        return next((finding for finding in self.findings if finding.name == name), None)
