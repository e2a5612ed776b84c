"""The result of a check: a finding for each property of a link, with the requested and the measured value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match

AS_REQUESTED = "as requested"
"""The verdict on a property whose measured value agrees with the requested one."""

_NAMED = 3
"""The nodes on a path up to which its name says all of them."""

_RIGHT = (AS_REQUESTED, "as asked")
"""The passing verdicts in stored runs; early versions wrote the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One property of a link: the value that was requested, the value that was measured, and the verdict.

    Attributes:
        name: the name of the property, see `asked`.
        asked: the requested value, in the units of the file:
            `delay` (ns), one-way; `delay_p95` (ns), the 95th percentile of delay and jitter together;
            `jitter` (ns), as in the file: for a uniform distribution the greatest deviation;
            `distribution`: 0, the Kolmogorov-Smirnov distance from the requested distribution;
            `loss`, `duplicates`, `reordered`, `corruption`: ratios; loss counts every packet that does not arrive as
            it was sent, reordered counts packets that left their place;
            `burst`: the mean number of packets lost in a row;
            `policer` (bit/s), the rate that passes;
            `rate` (bit/s), of a trace the mean; `bucket` (bytes) and `peak` (bit/s) of one with bursts;
            `queue` (bytes); `drops`: the number of scripted drops.
        measured: the estimate of the value; None if nothing was measured.
        interval: the 99 % confidence interval of the true value; None if there is none.
        verdict: `as requested`, or what is wrong, or why nothing was measured, in a few words.
        passed: whether the measurement does not contradict the requested value.
        asked_range: the least and the greatest right value, where the impairments allow more than one: for a trace, its
            rates in windows as long as the measured one; for a delay before a slow bottleneck, the delay without and
            with the time that a lone probe may wait there.
    """

    name: str
    asked: float
    measured: float | None
    interval: tuple[float, float] | None
    verdict: str
    passed: bool
    asked_range: tuple[float, float] | None = None


def unmeasured(name: str, requested: float, why: str) -> Finding:
    """Return a finding without a measured value, and with the reason; it passes, but proves nothing."""
    return Finding(
        name=name, asked=requested, measured=None, interval=None, verdict=f"not measured: {why}", passed=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCheck:
    """The impairments of a link, or of a path over several, as requested and as measured.

    Attributes:
        source, destination, network, match: the link.
        asked: its requested impairments.
        sent, arrived: the number of probes of delay and loss.
        findings: one for each property; empty if the link was not probed.
        problem: why the link could not be probed, or None.
        skipped: why the link was left out, or None; that is no failure.
        path: the nodes between the ends, where it is a path over several links; `asked` is then what these do together,
            and `network` the one where the path arrives.
        beside: names of other links that the probes crossed too, because packets of the link do; `asked` is then what
            all of them do together.
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
    match: Match | None = None
    path: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def __repr__(self) -> str:
        probes = f"{self.arrived} of {self.sent} probes arrived"
        return f"<check of {self.full_name}: {self.verdict}; requested {self.asked.describe()}, {probes}>"

    @property
    def key(self) -> LinkKey:
        """What identifies the link."""
        return LinkKey(self.source, self.destination, self.network, self.match)

    @property
    def link(self) -> str:
        """The name of the link or path in messages and results."""
        over = f" over {', '.join(self.path)}" if len(self.path) <= _NAMED else f" over {len(self.path)} nodes"
        with_others = f" with {' and '.join(self.beside)}" if self.beside else ""
        return f"{self.key.name}{over if self.path else ''}{with_others}"

    @property
    def full_name(self) -> str:
        """The name of the link or path with its network, which no other has."""
        return f"{self.link} on {self.network}"

    @property
    def passed(self) -> bool:
        """Whether the link is as requested."""
        return self.problem is None and all(finding.passed for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict: `as requested`, or all that is wrong, or why nothing was measured."""
        if self.problem is not None or self.skipped is not None:
            return f"not measured: {self.problem or self.skipped}"
        wrong = [f"{finding.name} {finding.verdict}" for finding in self.findings if not finding.passed]
        return ", ".join(wrong) or AS_REQUESTED

    @property
    def reservations(self) -> tuple[str, ...]:
        """The findings that neither fail nor prove the requested value, with the reason: `drops not measured: ...`."""
        if self.problem is None and self.skipped is not None:
            return (self.verdict,)
        return tuple(
            f"{finding.name} {finding.verdict}"
            for finding in self.findings
            if finding.passed and finding.verdict not in _RIGHT
        )

    def finding(self, name: str) -> Finding | None:
        """Return the finding on a property, or None if there is none."""
        return next((finding for finding in self.findings if finding.name == name), None)
