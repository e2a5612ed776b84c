"""Measure one link, or a path over several, with probes and judge it."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import reduce
from itertools import count
from typing import TYPE_CHECKING

from testbed.check import expected, parallel, schedules, selection, traced, trains
from testbed.check.filling import ATTEMPTS, START_NS, Filling
from testbed.check.judging import TIMING, judge
from testbed.check.lateness import of_crowded
from testbed.check.samples import ProbeSample
from testbed.check.verdict import Finding, LinkCheck, unmeasured
from testbed.errors import TestbedError
from testbed.families import FAMILIES
from testbed.plan.model import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from testbed.check.budget import Budget, Depth
    from testbed.check.filling import Send
    from testbed.check.paths import Path
    from testbed.check.schedules import Schedule
    from testbed.check.selection import ProbePackets
    from testbed.check.trains import TrainRecord
    from testbed.impairments import Impairments
    from testbed.matching import Match
    from testbed.plan.model import Plan
    from testbed.workloads.nodes import Nodes

_log = logging.getLogger(__name__)

FIRST_PORT = 61_000
"""The port of the first link's probes: above the kernel's ephemeral ports, and far from the workloads' ports."""

_PORTS = 4_000


class Probe:
    """Measures one link, or a path over several, and judges it.

    Attributes:
        kind: equal for links that differ only in their nodes.
    """

    def __init__(  # what a probe is made of
        self,
        plan: Plan,
        probed: Link | Path,
        number: int,
        matches: Sequence[Match],
        *,
        depth: Depth,
        level: float,
        budget: Budget,
        token_bucket: bool,
        origin_ns: int | None = None,
        uncertain_ns: int = 0,
    ) -> None:
        """Prepare to measure.

        Args:
            plan: of the lab.
            probed: the link or the path.
            number: that no other probe has.
            matches: those of all links of the direction, in order.
            depth: of the check.
            level: see `judge`.
            budget: of the check.
            token_bucket: see `measure`.
            origin_ns: time zero of the link's traces.
            uncertain_ns: see `ProbeSample`.
        """
        path = None if isinstance(probed, Link) else probed
        link = probed if isinstance(probed, Link) else probed.link
        self._link = link
        self._path = path
        self._impairments = link.impairments
        self._addresses = path.addresses if path else _addresses(plan, link)
        self._mtu = path.mtu if path else plan.mtu(link.network, link.source, link.destination)
        port = FIRST_PORT + number % _PORTS
        box = path.box if path else None
        self._packets = selection.choose_in(box, port) if box else selection.choose(link.match, matches, port)
        self._depth = depth
        self._level = level
        self._budget = budget
        self._origin_ns = origin_ns
        self._uncertain_ns = uncertain_ns
        self._trains = count()
        self._filling = Filling(
            link.impairments,
            self._mtu,
            hops=path.hops if path else (),
            depth=depth,
            level=level,
            budget=budget,
            token_bucket=token_bucket,
        )
        self.kind: Hashable = (path.hops if path else link.impairments, link.engine, self._mtu)
        self._check = LinkCheck(
            **((path and path.judged) or link.key)._asdict(),
            asked=link.impairments,
            sent=0,
            arrived=0,
            findings=(),
            path=path.nodes if path else (),
            beside=path.beside if path else (),
        )

    @property
    def fillable(self) -> bool:
        """Whether the link has a bottleneck that can be kept busy, or a policer that can be exceeded."""
        return self._filling.is_possible

    @property
    def is_light(self) -> bool:
        """Whether keeping the link busy takes so few datagrams that other links can be kept busy at the same time."""
        return self._filling.is_light

    @property
    def was_skipped(self) -> bool:
        """Whether the link was left out."""
        return self._check.skipped is not None

    def skip(self) -> None:
        """Leave the link out: the budget is used up."""
        self._check = replace(self._check, skipped=self._budget.exceeded())

    def result(self, *, alike: int, measured: int) -> LinkCheck:
        """Return the check of the link; if the link was skipped, it says how many links like it were measured.

        Args:
            alike: the number of links of its kind.
            measured: how many of these were measured.
        """
        if not self.was_skipped or not measured:
            return self._check
        of_its_kind = f"{self._check.skipped}; of {alike} links like it {measured} were measured"
        return replace(self._check, skipped=of_its_kind)

    def sample(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Measure delay and loss, and judge them. Wrong times are measured again: the machine may have been busy."""
        impairments = self._impairments
        spaced, dense = (
            schedules.spaced_probes(impairments, self._depth.probes_ns),
            schedules.dense_probes(impairments, self._depth.probes_ns),
        )
        shared = [schedule.shared_by(len(self._probed)) for schedule in (spaced, dense) if schedule]
        lasts_ns = sum(START_NS + schedule.lasts_ns for schedule in shared) * len(self._probed)
        if reason := self._reason_to_skip(lasts_ns):
            self._check = replace(self._check, skipped=reason)
            return
        probes = spaced.count + (dense.count if dense else 0)
        scripted = expected.scripted(impairments.drops, probes, self._chosen)
        parts = 2 if dense else 1
        try:
            sample = self._sampled(spaced, nodes, lambda done: say(done / parts), scripted)
            if dense:
                more = self._sampled(dense, nodes, lambda done: say((1 + done) / parts), scripted)
                sample = sample.with_counts_of(more)
            findings = self._judge(sample)
            for _ in range(ATTEMPTS - 1):
                if all(finding.passed for finding in findings if finding.name in TIMING):
                    break
                if not self._budget.allows(START_NS + spaced.lasts_ns):
                    break
                _log.debug("%s: times are wrong, measure again", self._check.link)
                again = self._sampled(spaced, nodes, lambda _: None, scripted)
                sample = again.with_counts_of(sample)
                findings = self._judge(sample)
        except TestbedError as error:
            if self._budget.overrun:
                self._check = replace(self._check, skipped=self._budget.exceeded())
            elif error.code == trains.DROPPED:
                self._check = replace(self._check, skipped=error.message)
            else:
                self._check = replace(self._check, problem=error.message)
            return
        self._check = replace(self._check, sent=sample.sent, arrived=sample.arrived)
        _log.debug("%s: %d of %d probes arrived", self._check.link, sample.arrived, sample.sent)
        self._add(*findings)
        self._add(*self._unmeasured())

    def _unmeasured(self) -> Iterator[Finding]:
        """Yield a finding for each part of the link that can't be measured."""
        impairments = self._impairments
        if impairments.drops:
            yield unmeasured("drops", len(impairments.drops), "a script is for the packets that it names")
        yield from self._filling.unmeasured()

    @property
    def _probed(self) -> tuple[str, ...]:
        """The addresses that probes for delay and loss share: one of each family that the link has."""
        return self._addresses or ("",)

    def _sampled(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None], scripted: int) -> ProbeSample:
        """Send a schedule's probes, the same number over each family, and return one sample of them all."""
        parts = len(self._probed)
        shared = schedule.shared_by(parts)
        samples = [
            self._sample_over(address, shared, nodes, parallel.share(say, place, parts), scripted)
            for place, address in enumerate(self._probed)
        ]
        return replace(reduce(ProbeSample.followed_by, samples), uncertain_ns=self._uncertain_ns)

    def _sample_over(
        self, address: str, schedule: Schedule, nodes: Nodes, say: Callable[[float], None], scripted: int
    ) -> ProbeSample:
        record = self._send(schedule, nodes, say, address, kernel_times=True)
        for _ in range(ATTEMPTS - 1):
            if not record.dropped or not self._budget.allows(schedule.lasts_ns):
                break
            record = self._send(schedule, nodes, say, address, kernel_times=True)
        limits = any(hop.bottleneck or hop.policer for hop in self._hops)
        excess_ns = None
        if self._origin_ns is not None and self._impairments.delay_trace:
            excess_ns = traced.excess_ns(self._impairments, self._origin_ns, record.sent_ns)
        return record.sample(scripted=scripted, service_ns=schedule.service_ns if limits else 0, excess_ns=excess_ns)

    def _judge(self, sample: ProbeSample) -> tuple[Finding, ...]:
        if self._path:
            findings = self._path.judge(sample, level=self._level)
        else:
            findings = judge(self._impairments, sample, level=self._level, origin_ns=self._origin_ns)
        return of_crowded(findings) if sample.crowded else findings

    def fill(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Keep the link busy and judge its rate and, if the depth includes queues, its queue."""
        if self._check.problem is not None or not self._check.arrived:
            return
        measured = self._filling.measurements()
        for place, (name, asked, measure) in enumerate(measured):
            try:
                self._add(*measure(self._sender(nodes, parallel.share(say, place, len(measured)))))
            except TestbedError as error:
                if not self._budget.overrun:
                    self._check = replace(self._check, problem=error.message)
                    return
                self._add(unmeasured(name, asked, self._budget.exceeded()))

    @property
    def _hops(self) -> Sequence[Impairments]:
        return self._path.hops if self._path else [self._impairments]

    @property
    def _chosen(self) -> ProbePackets:
        """The probes' packets, of a link that can be probed."""
        assert self._packets is not None  # noqa: S101  # else the link is skipped
        return self._packets

    def _reason_to_skip(self, lasts_ns: int) -> str | None:
        """Return why the link is not measured, or None."""
        if self._path and self._path.skipped:
            return self._path.skipped
        if self._packets is None:
            return "other links of this direction take all packets that the prober could send over it"
        if self._packets.protocol is not None and any(hop.corruption for hop in self._hops):
            return f"of raw packets ({self._packets.protocol_name}), corrupted ones can't be told from lost ones"
        return None if self._budget.allows(lasts_ns) else self._budget.exceeded(lasts_ns)

    def _add(self, *findings: Finding) -> None:
        self._check = replace(self._check, findings=(*self._check.findings, *findings))

    def _sender(self, nodes: Nodes, say: Callable[[float], None]) -> Send:
        return lambda schedule: self._send(schedule, nodes, say)

    def _send(
        self,
        schedule: Schedule,
        nodes: Nodes,
        say: Callable[[float], None],
        address: str | None = None,
        *,
        kernel_times: bool = False,
    ) -> TrainRecord:
        """Send a train, to the first address unless another is given."""
        return trains.send(
            schedule,
            self._link,
            nodes,
            address=address or self._addresses[0],
            packets=self._chosen,
            number=next(self._trains),
            kernel_times=kernel_times,
            progress=say,
        )


def _addresses(plan: Plan, link: Link) -> tuple[str, ...]:
    """Return the addresses of a link's destination, of the families that its source has there, too.

    The machine, and what is beyond it, have IPv4 only.
    """
    source, destination = (plan.end(end).on(link.network) for end in (link.source, link.destination))
    shared = (destination.of_family(family) for family in FAMILIES if source.of_family(family))
    return tuple(address for address in shared if address)
