"""Formatting of the metrics of links and workloads, as JSON values and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed import codec, kinds
from testbed.check import AS_REQUESTED
from testbed.check.cells import link_cell, shown_properties
from testbed.quantities import (
    NOT_APPLICABLE,
    UNMEASURED,
    duration,
    metric_text,
    number,
    rate,
    ratio,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.analysis.comparison import MetricChange
    from testbed.check import LinkCheck, NatCheck
    from testbed.expectations import ExpectationOutcome
    from testbed.runs.capture_records import CaptureRecord
    from testbed.runs.run import Run
    from testbed.workloads.summary import Summary

__all__ = [
    "NOT_APPLICABLE",
    "UNMEASURED",
    "WORKLOAD_COLUMNS",
    "captures_text",
    "change_cells",
    "duration",
    "failures",
    "link_cell",
    "link_row",
    "links_verdict",
    "metric_text",
    "nat_line",
    "nat_row",
    "nats_verdict",
    "number",
    "outcome_cells",
    "outcome_verdict",
    "rate",
    "ratio",
    "reservations",
    "run_verdict",
    "shown_properties",
    "size",
    "workload_cells",
]


def link_row(check: LinkCheck) -> dict[str, Any]:
    """Return a link's check as a JSON object: requested and measured values of each property, and the verdict."""
    row: dict[str, Any] = {
        "link": check.link,
        "network": check.network,
        "sent": check.sent,
        "arrived": check.arrived,
    }
    for finding in check.findings:
        row |= {f"{finding.name}_asked": finding.asked, f"{finding.name}_measured": finding.measured}
        if finding.asked_range is not None:
            row[f"{finding.name}_asked_range"] = list(finding.asked_range)
        if finding.interval is not None:
            row[f"{finding.name}_interval"] = list(finding.interval)
        row[f"{finding.name}_verdict"] = finding.verdict
    return {**row, "verdict": check.verdict, "passed": check.passed}


def reservations(checks: Sequence[LinkCheck]) -> list[str]:
    """Return the properties of links that could not be verified: `client -> server: drops not measured: ...`."""
    links_by_text: dict[str, list[str]] = {}
    for check in checks:
        for each in check.reservations:
            links_by_text.setdefault(each, []).append(check.link)
    return [
        f"{links[0] if len(links) == 1 else f'{len(links)} links'}: {each}" for each, links in links_by_text.items()
    ]


WORKLOAD_COLUMNS = ("goodput", "delivered", "lost", "retrans", "set-up", "first byte", "p50", "p99")


def workload_cells(summary: Summary) -> dict[str, str]:
    """Return a workload's main metrics as text, by the names in `WORKLOAD_COLUMNS`."""
    values, connectionless = summary.values, _connectionless(summary)
    return {
        "goodput": _cell(values, "goodput_bps", rate),
        "delivered": NOT_APPLICABLE if "sent" in summary.missing else _delivered(values),
        "lost": _cell(values, "loss_ratio", ratio) if connectionless else NOT_APPLICABLE,
        "retrans": _cell(values, "retransmits", str),
        "set-up": "none" if connectionless else _cell(values, "setup_ns", duration),
        "first byte": _cell(values, "first_byte_ns", duration),
        "p50": _cell(values, "latency_p50_ns", duration),
        "p99": _cell(values, "latency_p99_ns", duration),
    }


def change_cells(change: MetricChange) -> tuple[str, str, str]:
    """Return a metric before and after, and its change in percent with the interval, or absolute if it was zero before.

    With too few runs for an interval, the change is left out, because it may be chance.
    """
    before, after, difference = (
        UNMEASURED if value is None else metric_text(value, change.unit)
        for value in (change.before, change.after, change.difference)
    )
    if change.ratio is None or (change.interval is None and change.difference):
        return before, after, NOT_APPLICABLE
    if not change.before:
        return before, after, f"by {difference}"
    text = f"{_signed(100 * change.ratio)} %"
    if change.interval is not None:
        low, high = (100 * bound / abs(change.before) for bound in change.interval)
        text += f" ({_signed(low)} to {_signed(high)})"
    return before, after, text


def _signed(value: float) -> str:
    return f"{value:+.3g}" if abs(value) < 1000 else f"{value:+.0f}"  # noqa: PLR2004  # three digits


def outcome_cells(outcome: ExpectationOutcome) -> tuple[str, str]:
    """Return the measured and the expected value: `6.13 mbit/s`, `>= 5 mbit/s`; in full if they would look equal."""
    for in_full in (False, True):
        found, wanted = (
            UNMEASURED if value is None else metric_text(value, outcome.unit, in_full=in_full)
            for value in (outcome.found, outcome.wanted)
        )
        if found != wanted or outcome.found == outcome.wanted:
            break
    return found, f"{outcome.comparison} {wanted}"


def outcome_verdict(outcome: ExpectationOutcome) -> str:
    """Return `met`, `NOT met`, or the reason why the expectation is undecided."""
    if outcome.reason is not None:
        return f"undecided: {outcome.reason}"
    return "met" if outcome.passed else "NOT met"


_BOTH = 2
_LISTED = 4


def one_after_another(values: Iterable[str]) -> str:
    """Return values that something has in the course of time: `10 ms / 20 ms`; of very many the first and the last."""
    different = [*dict.fromkeys(values)]
    if len(different) > _LISTED:
        different[2:-1] = ["…"]
    return " / ".join(different)


def error_remark(summary: Summary) -> str | None:
    """Return what servers answered instead of what was asked for: `20 error responses (20 x 403)`; None if nothing."""
    parts = []
    for label, one, many in _ERRORS:
        if label in summary.labels and (count := summary.number(label)):
            parts.append(f"{count} {one if count == 1 else many}")
    if parts and "statuses" in summary.labels and (statuses := summary.text("statuses")):
        parts[0] += f" ({statuses})"
    return ", ".join(parts) or None


_ERRORS = (
    ("error_responses", "error response", "error responses"),
    ("failed", "request failed", "requests failed"),
    ("error_answers", "error answer", "error answers"),
)
"""Metrics of what servers answered instead of what was asked for."""


def run_verdict(run: Run) -> str:
    """Return the verdict on a run and its expectations: `trusted, but 2 of 5 expectations are not met`."""
    total = len(run.outcomes)
    failed = sum(not outcome.passed for outcome in run.outcomes)
    trust = "trusted" if run.trusted else "not trusted"
    if not total:
        return trust
    which = (
        "its expectation"
        if total == 1
        else f"{failed} of {total} expectations"
        if failed
        else f"{'both' if total == _BOTH else f'all {total}'} expectations"
    )
    is_met = f"{'is' if 1 in (total, failed) else 'are'} {'not met' if failed else 'met'}"
    joint = ";" if not run.trusted else ", but" if failed else ", and"
    return f"{trust}{joint} {which} {is_met}"


def links_verdict(checks: Sequence[LinkCheck]) -> str:
    """Return the summary of a check: `12 links and 2 paths: 12 as requested, 1 NOT as requested, 1 not measured`."""
    failed = sum(not check.passed for check in checks)
    skipped = sum(check.skipped is not None for check in checks)
    counts = (
        (len(checks) - failed - skipped, AS_REQUESTED),
        (failed, f"NOT {AS_REQUESTED}"),
        (skipped, "not measured"),
    )
    paths = sum(bool(check.path) for check in checks)
    counted = ((len(checks) - paths, "link"), (paths, "path"))
    links = " and ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counted if count)
    parts = [(count, what) for count, what in counts if count]
    if len(parts) == 1:
        return f"{links} {parts[0][1]}"
    return f"{links}: {', '.join(f'{count} {what}' for count, what in parts)}"


def nat_row(check: NatCheck) -> dict[str, Any]:
    """Return a NAT's check as a JSON object."""
    return {"nat": check.node, **codec.encode(check)}


def nat_line(check: NatCheck) -> str:
    """Return a NAT's check in one line: `home on wan: mapping ..., filtering ...: as requested`."""
    return f"{check.node} on {check.network}: {check.found}: {check.verdict}"


def nats_verdict(checks: Sequence[NatCheck]) -> str:
    """Return the summary of checks of NATs: `2 as requested`."""
    failed = sum(not check.passed for check in checks)
    counts = (len(checks) - failed, AS_REQUESTED), (failed, f"NOT {AS_REQUESTED}")
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def captures_text(captures: Sequence[CaptureRecord]) -> str:
    """Return the number of captured packets, and of those that are missing, in one line."""
    packets, dropped, overwritten = (
        sum(getattr(capture, name) for capture in captures) for name in ("packets", "dropped", "overwritten")
    )
    total = size(sum(capture.size_bytes for capture in captures))
    files = f" in {len(captures)} files" if len(captures) > 1 else ""
    parts = [f"{packets:,} packets{files}, {total}"]
    if dropped:
        parts.append(f"{dropped:,} DROPPED by the kernel")
    if overwritten:
        parts.append(f"{overwritten:,} older ones overwritten")
    return ", ".join(parts)


def failures(run: Run) -> dict[str, str]:
    """Return what was not as expected in a run: `voice.loss < 5% is not met` to `6.2 %`, a link to its verdict."""
    links = {
        f"{'path' if check.path else 'link'} {check.full_name} is NOT {AS_REQUESTED}": check.verdict
        for check in run.checks
        if not check.passed
    }
    links |= {f"{check.name} is NOT {AS_REQUESTED}": check.verdict for check in run.nats if not check.passed}
    missed = [outcome for outcome in run.outcomes if not outcome.passed]
    return links | {
        f"{outcome.expectation} is not met": outcome_cells(outcome)[0] if outcome.reason is None else outcome.reason
        for outcome in missed
    }


def _connectionless(summary: Summary) -> bool:
    """Whether a workload is connectionless: by its kind, or because it can't have metrics of a connection."""
    left_out = summary.missing.keys() - summary.values.keys()
    kind = kinds.find(summary.kind)
    return (kind is not None and kind.connectionless) or not left_out.isdisjoint(("setup_ns", "retransmits"))


def _cell(values: Mapping[str, Any], name: str, show: Any) -> str:  # noqa: ANN401  # any way to show a number
    """Return a metric as text, or the sign that the kind has it but it was not measured."""
    if name not in values:
        return NOT_APPLICABLE
    value = values[name]
    return UNMEASURED if value is None else str(show(value))


def _delivered(values: Mapping[str, Any]) -> str:
    """Return how much arrived of what was sent, in messages if there are any, else in bytes."""
    sent, delivered = ("sent", "delivered") if "sent" in values else ("sent_bytes", "delivered_bytes")
    if sent not in values:
        return NOT_APPLICABLE
    return ratio(values[delivered] / values[sent]) if values[sent] and values.get(delivered) is not None else UNMEASURED
