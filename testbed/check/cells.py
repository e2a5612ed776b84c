"""Findings of links as cells of a table."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.check.verdict import AS_REQUESTED
from testbed.impairments import IndependentLoss
from testbed.quantities import NOT_APPLICABLE, UNMEASURED, duration, number, rate, ratio, size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.check.verdict import Finding, LinkCheck

_LINK_COLUMNS: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {
        "delay": duration,
        "jitter": duration,
        "loss": ratio,
        "burst": number,
        "duplicates": ratio,
        "reordered": ratio,
        "corruption": ratio,
        "policer": rate,
        "rate": rate,
        "bucket": size,
        "peak": rate,
        "queue": size,
    }
)
"""The properties of links that tables show, each with the function that formats its values."""

_ALWAYS = ("delay", "loss")
_WITH_INTERVAL = ("loss", "burst", "duplicates", "reordered", "corruption")


def link_cell(check: LinkCheck, name: str) -> str:
    """Return the requested and the measured value of a property: `2 %: 1.8 % (1.1 to 2.9)`."""
    finding = check.finding(name)
    if finding is None:
        return UNMEASURED if name in _ALWAYS else NOT_APPLICABLE
    show = _LINK_COLUMNS[name]
    requested = show(finding.asked)
    if finding.asked_range is not None:
        low, high = map(show, finding.asked_range)
        requested = f"{low} to {high}" if low != high else low
    measured = UNMEASURED if finding.measured is None else show(finding.measured)
    return f"{requested}: {measured}{_interval(finding)}"


def _interval(finding: Finding) -> str:
    if finding.name not in _WITH_INTERVAL or finding.interval is None:
        return ""
    low, high = (_LINK_COLUMNS[finding.name](bound).removesuffix(" %") for bound in finding.interval)
    return f" ({low} to {high})"


def shown_properties(checks: Sequence[LinkCheck]) -> list[str]:
    """Return the properties to show: delay and loss, and others that a link is requested to have or shows anyway."""
    shown = {*_ALWAYS}
    for check in checks:
        named = {finding.name for finding in check.findings if finding.asked or not finding.passed}
        if isinstance(check.asked.loss, IndependentLoss | None) and AS_REQUESTED in {
            finding.verdict for finding in check.findings if finding.name == "burst"
        }:
            named.discard("burst")  # that losses are single is what everybody expects
        shown |= named
    return [name for name in _LINK_COLUMNS if name in shown]
