"""What a busy machine makes of a link that is as requested: what it carries comes late, never early."""

from __future__ import annotations

from testbed.check.judging import TIMING


def is_lateness(finding):
    """Whether a finding may be this machine's rather than the link's: a delay that is too long."""
    return finding.name in TIMING and finding.verdict != "too low"


def only_late(run):
    """Whether all that was not as expected of a run is lateness of its links, found before its workloads."""
    wrong = [finding for check in run.checks for finding in check.findings if not finding.passed]
    kept = run.is_whole and all(outcome.passed for outcome in run.outcomes)
    probed = all(check.problem is None for check in run.checks)
    return kept and probed and all(map(is_lateness, wrong))
