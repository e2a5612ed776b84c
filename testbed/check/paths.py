"""The paths of workloads over several links: what their links do together, and its judgement.

Delays add up, a packet arrives if no link loses it, and the slowest bottleneck decides the rate. What else links do,
such as changing the order of packets, is judged at each link alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod
from typing import TYPE_CHECKING

from testbed import statistics
from testbed.check import capacity
from testbed.check import expected as expectations
from testbed.check.comparing import EARLY_NS, NOTHING_ARRIVES, compare_share, late_ns
from testbed.check.delays import judge_delay
from testbed.check.judging import judge
from testbed.check.verdict import Finding, unmeasured
from testbed.families import FAMILIES
from testbed.impairments import CERTAIN, CLEAR, Blackhole, Impairments, IndependentLoss, LossSteps
from testbed.matching import LinkKey, crossed, lines_that_take_any, usual
from testbed.plan.forwarding import forwarding
from testbed.plan.model import Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.check.random_processes import RandomProcess
    from testbed.check.samples import ProbeSample
    from testbed.impairments import Jitter
    from testbed.matching import Match, PacketRanges, Packets
    from testbed.plan.forwarding import Hop
    from testbed.plan.model import Plan

_DRAWS = 4096

_UNKNOWN_PACKETS = "which packets the workload sends is not known, and a link on the way is for some only"

_ROUTER_NS = 200_000
"""What a router may add to a delay. On an idle machine a hop takes a tenth of it."""

_Lines = dict["Match | None", Impairments]
"""The links of one direction by their matches, in the order in which they select packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The way from one node to another over several links, or over one hop with an uplink or downlink.

    Attributes:
        link: the whole path as one link, with the combined impairments. Where it depends on the packets what a link on
            the way does, its match names those that the path is for.
        nodes: those between the ends.
        addresses: of the destination, at most one of each family.
        mtu: the smallest on the way.
        hops: the impairments of each link on the way.
        judged: the only link that is to be judged; None for the path as a whole.
        beside: names of the other links on the way, if there is such a link.
        skipped: why the path can't be probed, or None.
        box: the packets to probe with; None for any.
    """

    link: Link
    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    mtu: int
    hops: tuple[Impairments, ...]
    judged: LinkKey | None = None
    beside: tuple[str, ...] = ()
    skipped: str | None = None
    box: PacketRanges | None = None

    def judge(self, sample: ProbeSample, *, level: float) -> tuple[Finding, ...]:
        """Return the findings on delay and loss, of a single link on all properties but its bottleneck.

        `level` is the probability, per property, of a false alarm.
        """
        if len(self.hops) == 1:
            return judge(self.hops[0], sample, level=level)
        loss = combined_loss(self.hops)
        lost = compare_share("loss", loss, sample.sent - sample.arrived, sample.sent, level)
        if any(isinstance(hop.loss, LossSteps) for hop in self.hops):
            lost = unmeasured("loss", loss.rate, "that of a link on the way follows a trace")
        return (self._delay(sample, level), lost)

    def _delay(self, sample: ProbeSample, level: float) -> Finding:
        impairments = self.link.impairments
        if not sample.delays_ns:
            return unmeasured("delay", impairments.delay_ns, NOTHING_ARRIVES)
        if any(hop.delay_trace for hop in self.hops):
            return unmeasured("delay", impairments.delay_ns, "that of a link on the way follows a trace")
        if any(hop.reorder for hop in self.hops):
            return unmeasured("delay", impairments.delay_ns, "packets change their places on the way")
        requested = _summed([expectations.in_place_ns(hop) for hop in self.hops])
        waits_ns = sum(expectations.bottleneck_wait_ns(hop) for hop in self.hops)
        allowed_ns = waits_ns + late_ns(statistics.quantile(requested, 0.5)) + _ROUTER_NS * len(self.nodes)
        allowed_ns += sample.uncertain_ns
        early_ns = EARLY_NS + sample.uncertain_ns
        measured = sorted(sample.delays_ns[:: max(expectations.thinning(hop) for hop in self.hops)])
        finding = judge_delay(impairments, requested, measured, level, allowed_ns, early_ns=early_ns)
        if waits_ns > late_ns(impairments.delay_ns):
            return replace(finding, asked_range=(finding.asked, finding.asked + waits_ns))
        return finding


def paths_of(plan: Plan, links: Iterable[Link], routed: Plan | None = None) -> tuple[Path, ...]:
    """Return the paths of a plan's workloads that cross several links, both ways; each once.

    Where links on the way are for some packets only, a path is for the packets of a workload: there is one for each of
    the workload's protocols, unless all its links take the packets of another protocol, too.

    Args:
        plan: of the lab.
        links: with their current impairments. A path without any impairment is left out.
        routed: the plan with the routes that packets take now, where routers find these themselves; see `as_routed`.
    """
    impaired: dict[LinkKey, _Lines] = {}
    for link in links:
        impaired.setdefault(link.key.plain, {})[link.match] = link.impairments
    by_family = {family: (forwarding(plan, family), forwarding(routed or plan, family)) for family in FAMILIES}
    found: dict[object, Path] = {}
    for workload in plan.workloads:
        planned, ways = by_family[workload.family]
        ends = workload.source, workload.destination, workload.address
        now = ways.both_ways(*ends)
        for wanted, hops, packets in zip(
            planned.both_ways(*ends), now, (workload.packets, workload.packets.back), strict=True
        ):
            if len(wanted) > 1 and not hops:
                found.setdefault(wanted, replace(_path(plan, wanted, (CLEAR,)), skipped=_lost(plan, wanted)))
            if len(hops) < 2:  # noqa: PLR2004
                continue
            address = _address(plan, hops, workload.family)
            if ways.path(hops[0][0], hops[-1][1], address) != hops:
                continue  # answers through a NAT: nothing gets there unasked
            lines = [impaired[key] for hop in hops for key in crossed(*hop) if key in impaired]
            for taken, path in _by_packets(plan, hops, lines, packets):
                before = found.setdefault((hops, taken), path).addresses
                if address not in before:
                    found[hops, taken] = replace(found[hops, taken], addresses=(*before, address))
    return tuple(found.values())


def _by_packets(
    plan: Plan, hops: Sequence[Hop], lines: Sequence[_Lines], packets: Packets
) -> Iterator[tuple[object, Path]]:
    """Yield the paths of a program's packets over the same hops, each with the matches of the links that take them."""
    if all(set(line) <= {None} for line in lines):
        if lines:
            path = _path(plan, hops, [line.get(None, CLEAR) for line in lines])
            yield None, replace(path, skipped=_kept_out(plan, hops))
        return
    if not packets.protocols:
        yield packets, replace(_path(plan, hops, (CLEAR,)), skipped=_UNKNOWN_PACKETS)
    for name, box in usual(packets):
        takers = [list(lines_that_take_any(box, [match for match in line if match])) for line in lines]
        taken = tuple(taker for each in takers for taker in each)
        path = _path(plan, hops, [line.get(each[0], CLEAR) for line, each in zip(lines, takers, strict=True)], name)
        skipped = _kept_back(plan, hops)
        if torn := next((each for each in takers if len(each) > 1), None):
            skipped = f"whether packets are in the match {torn[0]} depends on the port that a kernel chooses"
        yield taken, replace(path, skipped=skipped, box=box)


def _kept_back(plan: Plan, hops: Sequence[Hop]) -> str | None:
    """Return why raw packets do not get along a path, or None."""
    for _, name, _ in hops[:-1]:
        router = plan.node(name).router
        if router and (router.nat or router.firewall):
            return f"{name} lets no packets pass that belong to no connection (NAT or firewall)"
    return None


def _kept_out(plan: Plan, hops: Sequence[Hop]) -> str | None:
    """Return why packets that belong to no connection do not get along a path, or None."""
    for (_, name, before), (_, _, after) in pairwise(hops):
        router = plan.node(name).router
        firewall = router.firewall if router else None
        if firewall and before in firewall.outside and after in firewall.inside:
            return f"the firewall of {name} lets in answers only"
    return None


def _lost(plan: Plan, hops: Sequence[Hop]) -> str:
    """Return why packets do not get along a path that routers were expected to find."""
    names = [name for name, _, _ in hops[1:] if (router := plan.node(name).router) and router.routing == "none"]
    return f"the routing daemons of {', '.join(names)} have no route there now, or spread packets over several"


def _path(plan: Plan, hops: Sequence[Hop], each: Sequence[Impairments], match: Match | None = None) -> Path:
    whole = Link(
        source=hops[0][0],
        destination=hops[-1][1],
        network=hops[-1][2],
        impairments=combined(each),
        seed=0,
        engine="auto",
        profile=None,
        match=match,
    )
    return Path(
        link=whole,
        nodes=tuple(hop[0] for hop in hops[1:]),
        addresses=(),
        mtu=min(plan.mtu(network, *ends) for *ends, network in hops),
        hops=tuple(each),
    )


def _address(plan: Plan, hops: Sequence[Hop], family: int) -> str:
    """Return the address of a family where a path arrives."""
    _, destination, network = hops[-1]
    return plan.node(destination).on(network).of_family(family)


def combined(hops: Sequence[Impairments]) -> Impairments:
    """Return what links in a row do together: delay, jitter, loss, policer and bottleneck."""
    bottlenecks = [hop.bottleneck for hop in hops if hop.bottleneck]
    policers = [hop.policer for hop in hops if hop.policer]
    rate = combined_loss(hops).rate
    jitters = [hop.jitter for hop in hops if hop.jitter]
    return Impairments(
        delay_ns=sum(hop.delay_ns for hop in hops),
        jitter=_combined_jitter(jitters) if jitters else None,
        loss=_loss(rate) if rate else None,
        policer=min(policers, key=lambda each: each.rate_bps, default=None),
        bottleneck=min(bottlenecks, key=lambda each: capacity.mean_bps(each.rate), default=None),
    )


def _loss(rate: float) -> Blackhole | IndependentLoss:
    return Blackhole() if rate >= 1 else IndependentLoss(probability=max(round(rate * CERTAIN), 1))


def _combined_jitter(jitters: Sequence[Jitter]) -> Jitter:
    """Return a jitter as large as several together: variances of independent delays add up."""
    largest = max(jitters, key=lambda each: each.ns)
    return replace(largest, ns=ceil(sum(each.ns**2 for each in jitters) ** 0.5))


def combined_loss(hops: Sequence[Impairments]) -> RandomProcess:
    """Return the process of a packet being lost on any of several links.

    Of losses that come in bursts, the effective sample size is that of the link whose bursts are the longest.
    """
    losses = sorted((expectations.of(hop).loss for hop in hops), key=lambda loss: loss.inflation, reverse=True)
    return losses[0].or_else(1 - prod(1 - loss.rate for loss in losses[1:]))


def _summed(parts: Sequence[Sequence[float]]) -> Sequence[float]:
    """Return quantiles of the sum of independent delays, given evenly spaced quantiles of each."""
    fixed = sum(part[0] for part in parts if len(part) == 1)
    varied = [part for part in parts if len(part) > 1]
    if not varied:
        return (fixed,)
    if len(varied) == 1:
        return [fixed + delay_ns for delay_ns in varied[0]]
    draw = random.Random(0)
    return sorted(fixed + sum(draw.choice(part) for part in varied) for _ in range(_DRAWS))
