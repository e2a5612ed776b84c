"""What a busy machine makes of a link that is as requested: what it carries comes late, never early."""

from __future__ import annotations

from testbed.check.judging import TIMING

RUNS = 3
CHECKS = 5
BUSY = "this machine was too busy"
"""What a run says itself, among the reasons not to trust it."""


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


def unmet(run):
    """The expectations of a run that are not met."""
    return [outcome for outcome in run.outcomes if not outcome.passed]


def check_until_measured(check, *wanted):
    """Repeat a check until a late machine has let it measure all that is wanted, or five times.

    Args:
        check: returns checks of links.
        wanted: names of links and of their findings.

    Returns:
        The checks by link.
    """
    for _ in range(CHECKS):
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
    return run.is_whole and not unmet(run) and not wrong(run.checks)


def no_verdict(run):
    """Whether a run that is not as expected tells nothing: this machine was too busy for it, as it says itself."""
    said = any(BUSY in reason for reason in run.distrust)
    late = any(not finding.passed for check in run.checks for finding in check.findings)
    return (only_late(run) and late) or (said and run.is_whole and not wrong(run.checks))


def judged(attempt, is_fine=lambda run: not unmet(run)):
    """The first run that is fine or is a verdict, of at most three.

    Args:
        attempt: makes a run, and returns it.
        is_fine: whether a run is as expected, so that nothing has to be known about this machine.
    """
    for _ in range(RUNS):
        run = attempt()
        if is_fine(run) or not no_verdict(run):
            break
    return run
