"""What a busy machine makes of a link that is as requested: what it carries comes late, never early."""

from __future__ import annotations

from testbed.check.judging import TIMING


def is_lateness(finding):
    """Whether a finding may be this machine's rather than the link's: a delay that is too long."""
    return finding.name in TIMING and finding.verdict != "too low"


def wrong(checks):
    """What is wrong about links, as text, but for what a late machine may have done."""
    unprobed = [f"{check.link}: {check.problem}" for check in checks if check.problem]
    return unprobed + [
        f"{check.link}: {finding.name} {finding.verdict}"
        for check in checks
        for finding in check.findings
        if not finding.passed and not is_lateness(finding)
    ]


def only_late(run):
    """Whether all that was not as expected of a run is lateness of its links, found before its workloads."""
    return run.is_whole and all(outcome.passed for outcome in run.outcomes) and not wrong(run.checks)
