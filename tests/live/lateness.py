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


ATTEMPTS = 5


def check_until_measured(check, *wanted):
    """Repeat a check until a late machine has let it measure all that is wanted, or five times.

    Args:
        check: returns checks of links.
        wanted: names of links and of their findings.

    Returns:
        The checks by link.
    """
    for _ in range(ATTEMPTS):
        found = {each.link: each for each in check()}
        if all(link in found and was_measured(found[link], finding) for link, finding in wanted):
            break
    return found


def was_measured(check, name):
    """Whether a check has a value of a property."""
    finding = check.finding(name)
    return finding is not None and finding.measured is not None


def only_late(run):
    """Whether all that was not as expected of a run is lateness of its links, found before its workloads."""
    return run.is_whole and all(outcome.passed for outcome in run.outcomes) and not wrong(run.checks)
