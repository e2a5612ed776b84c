"""What was asked of a link against what was measured: a verdict on each property of its shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isinf
from typing import TYPE_CHECKING, Any, Self

from testbed import units
from testbed.check import statistics
from testbed.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AS_ASKED = "as asked"
"""The verdict on what is right."""

CONFIDENCE = 0.99
"""Of the intervals that are shown."""

EARLY_NS = 100_000
"""How much less than asked a delay may be: times are taken before sending and after receiving, so nothing that works
measures too short; this leaves room for a kernel's coarse timers."""

LATE_NS = 1_500_000
LATE_RATIO = 0.02
"""How much more than asked a delay may be, the larger of the two: what it takes on an idle machine to send, emulate and
receive a packet is a tenth of that, on one with more work than cores about as much. A delay that is off by more is no
longer what was asked for, whoever's fault it is."""

_NOTHING = "not measured: nothing arrives"

FRAME_BYTES = 54
"""Of a probe on the link: 12 bytes of payload and the headers of UDP, IPv4 and Ethernet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One property of a link.

    Attributes:
        name: `delay`, `jitter` (both ns), `loss` (a ratio), `duplicates`, `reordered` (probes) or `rate` (bit/s).
        asked: what the shape says.
        measured: what was found: of the delays the median; as jitter their interquartile range, which for a delay that
            is uniform in +-jitter is the jitter; None where nothing was measured.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCheck:
    """A link's shape, asked for and measured.

    Attributes:
        source, destination, network: the link.
        asked: its shape.
        sent, arrived: probes that count.
        findings: one for each property; empty where the link could not be probed.
        problem: why it could not be probed, or None.
    """

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

    def finding(self, name: str) -> Finding | None:
        """The finding on a property, or None where there is none."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object; `from_json` is the way back."""
        return {**asdict(self), "asked": self.asked.to_json(), "passed": self.passed, "verdict": self.verdict}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The check that `to_json` made `data` from."""
        own = {name: data[name] for name in cls.__dataclass_fields__}
        findings = (
            Finding(**{**one, "interval": None if one["interval"] is None else tuple(one["interval"])})
            for one in data["findings"]
        )
        return cls(**{**own, "asked": Shape.from_json(data["asked"]), "findings": tuple(findings)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What became of the probes of one link that count.

    Attributes:
        sent: how many there were.
        delays_ns: of those that arrived, in ascending order.
        duplicates: arrivals of one that had arrived before.
        reordered: arrivals behind one that was sent later (RFC 4737).
    """

    sent: int
    delays_ns: Sequence[int]
    duplicates: int
    reordered: int


def judge(shape: Shape, sample: Sample, *, level: float) -> tuple[Finding, ...]:
    """The findings on a link.

    Args:
        shape: what was asked for.
        sample: independent probes, so far apart that none was held up by the one before.
        level: the probability with which a link that is as asked may be found wrong, per property.
    """
    findings = [
        _delay(shape, sample, level),
        _jitter(shape, sample, level),
        _loss(shape, sample, level),
        _none("duplicates", sample.duplicates),
        _none("reordered", sample.reordered),
    ]
    if shape.rate_bps:
        # Said, so that nobody takes it for proven.
        findings.append(_unmeasured("rate", shape.rate_bps, "not measured: that takes filling the link"))
    return tuple(findings)


def _loss(shape: Shape, sample: Sample, level: float) -> Finding:
    arrived = len(sample.delays_ns)
    lost = sample.sent - arrived
    probability = shape.loss / units.CERTAIN
    if not arrived and shape.loss < units.CERTAIN:
        verdict = "of everything: nothing arrives"
    elif statistics.binomial_test(lost, sample.sent, probability) >= level:
        verdict = AS_ASKED
    else:
        verdict = "too high" if lost > sample.sent * probability else "too low"
    return Finding(
        name="loss",
        asked=probability,
        measured=lost / sample.sent,
        interval=statistics.clopper_pearson(lost, sample.sent, CONFIDENCE),
        verdict=verdict,
        passed=verdict == AS_ASKED,
    )


def _delay(shape: Shape, sample: Sample, level: float) -> Finding:
    if not sample.delays_ns:
        return _unmeasured("delay", shape.delay_ns, _NOTHING)
    # In netem a lone frame leaves when its transmission starts, in the userspace engine when it ends: both are allowed.
    transmission_ns = 8 * FRAME_BYTES * 10**9 / shape.rate_bps if shape.rate_bps else 0
    return _compare(
        "delay",
        asked=shape.delay_ns,
        measured=statistics.quantile(sample.delays_ns, 0.5),
        interval=statistics.quantile_interval(sample.delays_ns, 0.5, CONFIDENCE),
        at_level=statistics.quantile_interval(sample.delays_ns, 0.5, 1 - level),
        most=shape.delay_ns + transmission_ns + _late(shape.delay_ns),
    )


def _jitter(shape: Shape, sample: Sample, level: float) -> Finding:
    if not sample.delays_ns:
        return _unmeasured("jitter", shape.jitter_ns, _NOTHING)
    return _compare(
        "jitter",
        asked=shape.jitter_ns,
        measured=statistics.quantile(sample.delays_ns, 0.75) - statistics.quantile(sample.delays_ns, 0.25),
        interval=_range_interval(sample.delays_ns, CONFIDENCE),
        at_level=_range_interval(sample.delays_ns, 1 - level),
        most=shape.jitter_ns + _late(shape.jitter_ns),
    )


def _range_interval(ordered: Sequence[int], confidence: float) -> tuple[float, float]:
    """The interval of the interquartile range: each quartile may miss its own with half of the probability."""
    each = (1 + confidence) / 2
    first = statistics.quantile_interval(ordered, 0.25, each)
    third = statistics.quantile_interval(ordered, 0.75, each)
    return max(third[0] - first[1], 0.0), third[1] - first[0]


def _late(asked_ns: int) -> float:
    return max(LATE_NS, asked_ns * LATE_RATIO)


def _compare(
    name: str,
    *,
    asked: int,
    measured: float,
    interval: tuple[float, float],
    at_level: tuple[float, float],
    most: float,
) -> Finding:
    """Right is what may be within the bounds, given how far the sample tells."""
    if any(map(isinf, at_level)):
        verdict = "unknown: too few probes arrived"
    elif at_level[0] > most:
        verdict = "too high"
    elif at_level[1] < asked - EARLY_NS:
        verdict = "too low"
    else:
        verdict = AS_ASKED
    return Finding(
        name=name,
        asked=asked,
        measured=measured,
        interval=None if any(map(isinf, interval)) else interval,
        verdict=verdict,
        passed=verdict == AS_ASKED,
    )


def _unmeasured(name: str, asked: int, why: str) -> Finding:
    return Finding(name=name, asked=asked, measured=None, interval=None, verdict=why, passed=True)


def _none(name: str, count: int) -> Finding:
    verdict = "packets where there should be none" if count else AS_ASKED
    return Finding(name=name, asked=0, measured=count, interval=None, verdict=verdict, passed=not count)
