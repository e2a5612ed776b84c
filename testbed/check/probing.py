"""Measure links with datagrams: few small ones for delay and loss, then fast large ones for rate and queue."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import TYPE_CHECKING

from testbed import logs
from testbed.check import parallel
from testbed.check.budget import QUICK, Budget, Depth, rounds
from testbed.check.distances import both_ways, with_distances
from testbed.check.lateness import excused
from testbed.check.probe import Probe
from testbed.check.probed_paths import as_probed
from testbed.engines.counters import Counters
from testbed.plan.model import Link
from testbed.workloads.nodes import KillableNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from testbed.agent.client import Apart
    from testbed.check.paths import Path
    from testbed.check.verdict import LinkCheck
    from testbed.matching import LinkKey, Match
    from testbed.plan.model import Plan
    from testbed.workloads.nodes import Nodes

_log = logging.getLogger(__name__)


SIGNIFICANCE = 0.001
"""The probability that a check finds anything wrong when all links are as requested. The properties of the links
that there is time for share it (Bonferroni), so that a large lab does not fail more often than a small one."""

AT_ONCE = 16
"""How many links are probed at the same time: with more, the machine's load would show in the results."""

_PROPERTIES = 10

_LONGER = 16
"""How many times longer a round is in which nothing but delay and loss is measured."""


def measure(
    plan: Plan,
    nodes: Nodes,
    *,
    links: Iterable[Link] | None = None,
    paths: Iterable[Path] = (),
    depth: Depth = QUICK,
    budget_s: float | None = None,
    counters: Mapping[LinkKey, Counters] | None = None,
    recount: Callable[[], Mapping[LinkKey, Counters]] | None = None,
    token_bucket: bool = False,
    uncertain_ns: Callable[[str, str], int] = lambda _source, _destination: 0,
    apart: Callable[[str, str], Apart | None] = lambda _source, _destination: None,
    progress: Callable[[float], None] | None = None,
) -> tuple[LinkCheck, ...]:
    """Probe links and compare what was measured with what was requested. Takes some 4 s for a few links.

    Links are taken in rounds of a few, first one of each kind: links with the same impairments on networks with the
    same MTU are of one kind. In a round all are probed for delay and loss, side by side; then those with a bottleneck
    are kept busy for a moment, slow ones side by side and fast ones a few at a time, so that neither the machine nor
    the neighbouring links change a measured rate. Findings for which the budget leaves no time say so.

    It takes longer where probes must be sent slowly (a low rate, a large jitter) or most of them are lost. Other
    traffic on the links changes the results. Scripted drops count the probes like any packet, so they must be
    restarted afterwards.

    Links whose packets cross an uplink or downlink too are probed like paths, see `testbed.check.probed_paths`.

    Args:
        plan: the plan of the lab.
        nodes: the nodes of the lab.
        links: the links to probe, with the impairments to compare with; by default all links of the plan. Of a
            direction between two nodes all are given, in order, because their matches say what each can be probed with.
        paths: the paths to probe after all links, whose bottlenecks they may share.
        depth: `QUICK` or `DEEP`.
        budget_s: how long the check may take, in seconds; by default the budget of the depth.
        counters: those of the engines' links before the check. Without time zero of a trace, delay and loss that follow
            it are not measured.
        recount: returns the counters at the end of the check, if something is wrong: what the machine's lateness
            explains is not measured. Without them, lateness of an engine is the link's.
        token_bucket: bottlenecks may be those of another tool, which let more than 1 ms of their rate through at once
            when they were idle (the bucket of tbf or htb): only what follows is judged.
        uncertain_ns: returns how far a delay from one node to another may be off, because their clocks differ.
        apart: returns how far the machines of two nodes are from each other, which delays on links between them show.
        progress: called with the fraction done, in the calling thread.

    Returns:
        One check per link and then one per path, in their order; one that could not be probed has a `problem` and has
        not passed.
    """
    links = plan.links if links is None else tuple(links)
    counters = counters or {}
    probed: list[Link | Path] = [*as_probed(plan, links), *paths]
    budget = Budget(depth.budget_s if budget_s is None else budget_s)
    rounds_most = 1 + int(budget.seconds * 1e9) // depth.probes_ns
    level = SIGNIFICANCE / max(min(len(probed), rounds_most * AT_ONCE) * _PROPERTIES, 1)
    matches: dict[LinkKey, list[Match]] = {}
    for link in links:
        matches.setdefault(link.key.plain, []).extend([link.match] if link.match else [])
    probes = [
        Probe(
            plan,
            each,
            number,
            matches.get((each.key if isinstance(each, Link) else each.judged or each.link.key).plain, ()),
            depth=depth,
            level=level,
            budget=budget,
            token_bucket=token_bucket,
            origin_ns=counters.get(each.key, Counters()).origin_ns if isinstance(each, Link) else None,
            uncertain_ns=uncertain_ns(*ends) if (ends := _ends(each)) else 0,
        )
        for number, each in enumerate(probed)
    ]
    total = parallel.ProgressSum(progress, len(probes) + sum(probe.fillable for probe in probes))
    cores = os.cpu_count() or 1
    with KillableNodes(nodes) as guarded:

        def run(part: Iterable[Probe], at_once: int, work: Callable[[Probe, Callable[[float], None]], None]) -> None:
            parallel.run_all(part, at_once, work, total, guarded=guarded, budget=budget)

        def sample(probe: Probe, say: Callable[[float], None]) -> None:
            probe.sample(guarded, say)

        def fill(probe: Probe, say: Callable[[float], None]) -> None:
            probe.fill(guarded, say)

        alone = [probe for probe, each in zip(probes, probed, strict=True) if isinstance(each, Link)]
        others = [probe for probe, each in zip(probes, probed, strict=True) if not isinstance(each, Link)]
        for part in _in_time(alone, budget):
            fillable = [probe for probe in part if probe.fillable]
            light = [probe for probe in fillable if probe.is_light]
            heavy = [probe for probe in fillable if not probe.is_light]
            with logs.timed(_log, f"probe {len(part)} links for delay and loss"):
                run(part, AT_ONCE, sample)
            with logs.timed(_log, f"fill {len(light)} slow bottlenecks and {len(heavy)} fast ones"):
                run(light, AT_ONCE, fill)
                run(heavy, cores, fill)
        for part in _in_time(others, budget):
            with logs.timed(_log, f"probe {len(part)} paths"):
                run(part, AT_ONCE, sample)
                run([probe for probe in part if probe.fillable], 1, fill)  # at once, they would share a bottleneck
    alike = Counter(probe.kind for probe in probes)
    measured = Counter(probe.kind for probe in probes if not probe.was_skipped)
    checks = tuple(probe.result(alike=alike[probe.kind], measured=measured[probe.kind]) for probe in probes)
    checks = both_ways(checks, uncertain_ns)
    if recount and any(not finding.passed for check in checks for finding in check.findings):
        checks = excused(checks, counters, recount())
    checks = tuple(with_distances(check, apart) for check in checks)
    for check in checks:
        _log.debug("%s on %s: %s", check.link, check.network, check.verdict)
    return checks


def _ends(each: Link | Path) -> tuple[str, str] | None:
    """Return the nodes between which probes go; None where there are none."""
    if isinstance(each, Link):
        return each.source, each.destination
    return None if each.skipped else (each.link.source, each.link.destination)


def _in_time(probes: Sequence[Probe], budget: Budget) -> Iterator[list[Probe]]:
    """Yield probes in rounds while the budget lasts, and skip the others.

    Without bottlenecks the rounds are longer, so that a link is probed as soon as another is done.
    """
    size = AT_ONCE * (1 if any(probe.fillable for probe in probes) else _LONGER)
    for part in rounds(probes, size):
        if budget.allows(0):
            yield part
        else:
            for probe in part:
                probe.skip()
