"""Links measured by datagrams from source to destination: small and few for delay and loss, then fast and large."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.check import together
from testbed.check.budget import QUICK, Budget, Depth, rounds
from testbed.check.probe import Probe
from testbed.workloads.nodes import KillableNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testbed.check.verdict import LinkCheck
    from testbed.plan.model import Link, Plan
    from testbed.workloads.nodes import Nodes


SIGNIFICANCE = 0.001
"""The probability with which a property of links that are all as requested is found wrong on any of them: it is shared
by the links and their properties (Bonferroni), so that a large lab does not fail more often than a small one."""

AT_ONCE = 16
"""Links probed at the same time: more would measure the machine."""

_PROPERTIES = 10


def measure(
    plan: Plan,
    nodes: Nodes,
    *,
    links: Iterable[Link] | None = None,
    depth: Depth = QUICK,
    budget_s: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[LinkCheck, ...]:
    """Probe links and compare what was measured with what was requested. Takes some 4 s for a few links.

    Links are taken in rounds of a few, first one of each kind: links with the same impairments on networks with the
    same MTU are of one kind. In a round all are probed for delay and loss, side by side; then those with a bottleneck
    are kept busy for a moment, slow ones side by side and fast ones a few at a time, so that neither the machine nor
    the links before and behind tell in a rate. What the budget leaves no time for is not measured, and says so.

    It takes longer where probes must be few (a low rate, a large jitter) or most of them are lost. Other traffic on
    the links shows in what is measured, and scripted drops count the probes like everything else: afterwards they have
    to be started anew.

    Args:
        plan: of the lab.
        nodes: of the lab.
        links: those to probe, with the impairments to compare with; all of the plan's unless given.
        depth: `QUICK` or `DEEP`.
        budget_s: how long it may take, seconds; that of the depth unless given.
        progress: called with the fraction done, in the calling thread.

    Returns:
        A check per link, in their order; one that could not be probed has a `problem`, and has not passed.
    """
    probed = plan.links if links is None else tuple(links)
    level = SIGNIFICANCE / max(len(probed) * _PROPERTIES, 1)
    budget = Budget(depth.budget_s if budget_s is None else budget_s)
    probes = [Probe(plan, link, number, depth=depth, level=level, budget=budget) for number, link in enumerate(probed)]
    told = together.ProgressSum(progress, len(probes) + sum(probe.fillable for probe in probes))
    cores = os.cpu_count() or 1
    with KillableNodes(nodes) as guarded:
        for part in rounds(probes, AT_ONCE):
            fillable = [probe for probe in part if probe.fillable]
            light = [probe for probe in fillable if probe.is_light]
            heavy = [probe for probe in fillable if not probe.is_light]
            together.each(
                part, AT_ONCE, lambda probe, say: probe.sample(guarded, say), told, guarded=guarded, budget=budget
            )
            together.each(
                light, AT_ONCE, lambda probe, say: probe.fill(guarded, say), told, guarded=guarded, budget=budget
            )
            together.each(
                heavy, cores, lambda probe, say: probe.fill(guarded, say), told, guarded=guarded, budget=budget
            )
    return tuple(probe.result(probes) for probe in probes)
