"""The figures that are shown of links and workloads, as plain values and as text."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Any

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.check import Finding, LinkCheck
    from testbed.workloads import Summary

NOT_APPLICABLE = "-"
UNMEASURED = "?"

_DIGITS = 3
_CONNECTIONLESS = ("udp-stream", "udp-rr", "ping")


def duration(value_ns: float) -> str:
    """A duration, ns, to three digits: `40.2 ms`."""
    return units.DURATION.format(_rounded(value_ns))


def rate(value_bps: float) -> str:
    """A rate, bit/s, to three digits: `6.13 mbit/s`."""
    return units.RATE.format(_rounded(value_bps))


def ratio(value: float) -> str:
    """A ratio in percent, to three digits and no finer than thousandths: `2.13 %`."""
    return f"{float(f'{round(100 * value, 3):.3g}'):.10g} %"


def _rounded(value: float) -> int:
    """The nearest integer with no more than three digits that are not zero at the end."""
    whole = round(value)
    return round(whole, _DIGITS - 1 - floor(log10(whole))) if whole else 0


def link_row(check: LinkCheck) -> dict[str, Any]:
    """A link's check in plain values: asked and measured delay and jitter (ns), loss (ratio), rate (bit/s); verdict."""
    row: dict[str, Any] = {
        "link": check.link,
        "network": check.network,
        "sent": check.sent,
        "arrived": check.arrived,
    }
    for finding in check.findings:
        row |= {f"{finding.name}_asked": finding.asked, f"{finding.name}_measured": finding.measured}
        if finding.interval is not None:
            row[f"{finding.name}_interval"] = list(finding.interval)
    return {**row, "verdict": check.verdict, "passed": check.passed}


def link_cell(check: LinkCheck, name: str) -> str:
    """What was asked for and what was measured of delay, jitter or loss: `2 %: 1.8 % (1.1 % to 2.9 %)`."""
    finding = check.finding(name)
    if finding is None:
        return UNMEASURED
    show = ratio if name == "loss" else duration
    measured = UNMEASURED if finding.measured is None else show(finding.measured)
    return f"{show(finding.asked)}: {measured}{_interval(finding)}"


def _interval(finding: Finding) -> str:
    if finding.name != "loss" or finding.interval is None:
        return ""
    low, high = (ratio(bound).removesuffix(" %") for bound in finding.interval)
    return f" ({low} to {high})"


def workload_row(summary: Summary) -> dict[str, Any]:
    """A workload's summary in plain values: its name, its kind and all its metrics, see `testbed.workloads.METRICS`."""
    return {"workload": summary.workload, "kind": summary.kind, **summary.values}


WORKLOAD_COLUMNS = ("goodput", "delivered", "lost", "retrans", "set-up", "first byte", "p50", "p99")


def workload_cells(summary: Summary) -> dict[str, str]:
    """A workload's figures as text, by the names of `WORKLOAD_COLUMNS`."""
    values = summary.values
    return {
        "goodput": _cell(values, "goodput_bps", rate),
        "delivered": _delivered(values),
        "lost": _cell(values, "loss_ratio", ratio) if summary.kind in _CONNECTIONLESS else NOT_APPLICABLE,
        "retrans": _cell(values, "retransmits", str),
        "set-up": "none" if summary.kind in _CONNECTIONLESS else _cell(values, "setup_ns", duration),
        "first byte": _cell(values, "first_byte_ns", duration),
        "p50": _cell(values, "latency_p50_ns", duration),
        "p99": _cell(values, "latency_p99_ns", duration),
    }


def _cell(values: Mapping[str, Any], name: str, show: Any) -> str:  # noqa: ANN401  # any way to show a number
    """A metric as text; where the kind has it, but there is no figure, that shows too."""
    if name not in values:
        return NOT_APPLICABLE
    value = values[name]
    return UNMEASURED if value is None else str(show(value))


def _delivered(values: Mapping[str, Any]) -> str:
    """Of what was sent how much arrived: messages where there are any, else bytes."""
    sent, delivered = ("sent", "delivered") if "sent" in values else ("sent_bytes", "delivered_bytes")
    if sent not in values:
        return NOT_APPLICABLE
    return ratio(values[delivered] / values[sent]) if values[sent] else UNMEASURED


def asked_properties(checks: Iterable[LinkCheck]) -> list[str]:
    """The properties to show: delay and loss, and jitter where any link was asked for it."""
    asked = {finding.name for check in checks for finding in check.findings if finding.asked}
    return [name for name in ("delay", "jitter", "loss") if name != "jitter" or name in asked]
