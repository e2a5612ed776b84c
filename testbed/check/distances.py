"""Delays between machines: judged both ways together, without their clocks, and with what lies between the machines.

What a packet takes between two machines is added to what links between them ask for. A one-way delay is known as
exactly as the clocks of both, which may be less exactly than that; the sum of both directions has no such error.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from testbed import units
from testbed.check.comparing import TOO_HIGH, late_ns
from testbed.check.verdict import AS_REQUESTED
from testbed.matching import LinkKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.agent.client import Apart
    from testbed.check.verdict import Finding, LinkCheck

_SHARE = 0.5
"""Of what a delay is too high by, from which on the distance is worth naming."""


def both_ways(checks: Sequence[LinkCheck], uncertain_ns: Callable[[str, str], int]) -> tuple[LinkCheck, ...]:
    """Return checks with those delays too high that are so together with those of the other direction.

    Args:
        checks: of links and paths.
        uncertain_ns: see `testbed.check.measure`.
    """
    by_key = {check.key: check for check in checks if not check.path}
    found = []
    for check in checks:
        back = by_key.get(LinkKey(check.destination, check.source, check.network, check.match))
        if check.path or check.key.is_access or not back or not uncertain_ns(check.source, check.destination):
            found.append(check)
            continue
        excess = [_excess_ns(each.finding("delay")) for each in (check, back)]
        if None in excess or sum(each or 0 for each in excess) <= 0:
            found.append(check)
            continue
        found.append(_with_delay(check, lambda finding: replace(finding, verdict=TOO_HIGH, passed=False)))
    return tuple(found)


def _excess_ns(finding: Finding | None) -> float | None:
    """Return by how much a delay that counts as requested is at least more than it may be; None if it is not known."""
    if finding is None or finding.interval is None or finding.verdict not in (AS_REQUESTED, TOO_HIGH):
        return None
    most = finding.asked_range[1] if finding.asked_range else finding.asked
    return finding.interval[0] - most - late_ns(finding.asked)


def with_distances(check: LinkCheck, apart: Callable[[str, str], Apart | None]) -> LinkCheck:
    """Return a check whose verdict on a delay that is too high says how much of it lies between machines.

    Args:
        check: of a link or path.
        apart: see `testbed.check.measure`.
    """
    finding = check.finding("delay")
    if finding is None or finding.verdict != TOO_HIGH or check.key.is_access:
        return check
    ways = (apart(*ends) for ends in pairwise((check.source, *check.path, check.destination)))
    between = [way for way in ways if way]
    return _with_delay(check, lambda finding: _explained(finding, between))


def _with_delay(check: LinkCheck, change: Callable[[Finding], Finding]) -> LinkCheck:
    changed = (change(finding) if finding.name == "delay" else finding for finding in check.findings)
    return replace(check, findings=tuple(changed))


def _explained(finding: Finding, between: Sequence[Apart]) -> Finding:
    distance_ns = sum(each.one_way_ns for each in between)
    if finding.measured is None or distance_ns < _SHARE * (finding.measured - finding.asked):
        return finding
    pairs = dict.fromkeys(" and ".join(each.machines) for each in between)
    where = f"{units.DURATION.format(round(distance_ns, -5))} of it lie between machines {'; '.join(pairs)}"
    fix = "place the nodes on one machine (host)"
    if distance_ns < finding.asked:
        fix = f"ask for {units.DURATION.format(round(int(finding.asked) - distance_ns, -5))}, or {fix}"
    return replace(finding, verdict=f"{TOO_HIGH}: {where}; {fix}")
