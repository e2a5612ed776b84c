"""Measure one link, or a path over several, with probes and judge it."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from testbed import units
from testbed.check import (
    capacity,
    expected,
    parallel,
    policing,
    queues,
    rates,
    schedules,
    selection,
    shaping,
    traced,
    trains,
)
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.judging import TIMING, judge
from testbed.check.samples import Sample
from testbed.check.verdict import AS_REQUESTED, Finding, LinkCheck, unmeasured
from testbed.errors import TestbedError
from testbed.impairments import FixedRate, LossSteps, TokenBucket
from testbed.plan.model import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from testbed.check.budget import Budget, Depth
    from testbed.check.paths import Path
    from testbed.check.rates import Train
    from testbed.check.schedules import Schedule
    from testbed.check.selection import ProbePackets
    from testbed.check.trains import TrainRecord
    from testbed.matching import Match
    from testbed.plan.model import Plan
    from testbed.workloads.nodes import Nodes

    Measurement = Callable[[Nodes, Callable[[float], None]], Sequence[Finding]]

_log = logging.getLogger(__name__)

FIRST_PORT = 61_000
"""The port of the first link's probes: above the kernel's ephemeral ports, and far from the workloads' ports."""

_PORTS = 4_000
_ATTEMPTS = 3
"""How often a measurement that a busy machine may have spoiled is made before the link is found wrong."""

_LOSS_MOST = 0.9
"""The loss of a train up to which a rate is measured; more loss would need too many datagrams."""

_LIGHT_PER_S = 1_000
"""The datagrams per second up to which several links can be kept busy at once with little load on the machine."""

_BUCKET_LONGER = 4
"""How much longer a train is before a bottleneck that may be a token bucket. Half of it empties the bucket, by what it
sends beyond the rate (`rates.PRESSURE`): one that lasts 50 ms at the rate, and in the third, longest train 200 ms."""

_OTHER_LIMIT = 2
"""How many times as fast as a bottleneck its policer has to be, and the other way round, for one to be measured."""

_START_NS = 500_000_000
"""The time that it takes to start the two ends of a train."""


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
    ) -> None:
        """`matches` are those of all links of the direction, in order; `origin_ns` is time zero of its traces."""
        path = None if isinstance(probed, Link) else probed
        link = probed if isinstance(probed, Link) else probed.link
        self._link = link
        self._path = path
        self._impairments = link.impairments
        self._addresses = path.addresses if path else plan.end(link.destination).on(link.network).addresses
        self._mtu = path.mtu if path else plan.mtu(link.network, link.source, link.destination)
        port = FIRST_PORT + number % _PORTS
        box = path.box if path else None
        self._packets = selection.choose_in(box, port) if box else selection.choose(link.match, matches, port)
        self._depth = depth
        self._level = level
        self._budget = budget
        self._token_bucket = token_bucket
        self._origin_ns = origin_ns
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
        impairments = self._impairments
        has_bottleneck = impairments.bottleneck is not None and self._unfillable is None
        return has_bottleneck or (impairments.policer is not None and self._unexceedable is None)

    @property
    def _unfillable(self) -> str | None:
        """The reason why the rate of a bottleneck can't be measured, or None."""
        if expected.of(self._impairments).loss.rate >= _LOSS_MOST:
            return "too much is lost to keep the link busy"
        if self._has_traced_loss:
            return "the loss before it follows a trace"
        policer = self._impairments.policer
        if policer and policer.rate_bps < _OTHER_LIMIT * self._peak_bps:
            return f"the policer before it lets {units.RATE.format(policer.rate_bps)} pass"
        if self._has_bucket:
            if self._path:
                return "a burst passes it first"
            return schedules.unburstable(self._impairments, self._mtu, self._depth.train_ns)
        return None

    @property
    def _unexceedable(self) -> str | None:
        """The reason why a policer can't be measured, or None."""
        if self._path:
            return "a path over several links is not measured for it"
        if self._has_traced_loss or expected.of(self._impairments).loss.rate >= _LOSS_MOST:
            return "the loss behind it is too large, or varies"
        bottleneck, policer = self._impairments.bottleneck, self._impairments.policer
        if bottleneck and policer:
            if not isinstance(bottleneck.rate, FixedRate):
                return "the rate behind it varies"
            if bottleneck.rate.bps < _OTHER_LIMIT * policer.rate_bps:
                return f"the bottleneck behind it lets {units.RATE.format(bottleneck.rate.bps)} pass"
        return None

    @property
    def _has_bucket(self) -> bool:
        bottleneck = self._impairments.bottleneck
        return bottleneck is not None and isinstance(bottleneck.rate, TokenBucket)

    @property
    def _has_traced_loss(self) -> bool:
        return any(isinstance(hop.loss, LossSteps) for hop in (self._path.hops if self._path else [self._impairments]))

    @property
    def _peak_bps(self) -> float:
        return capacity.peak_bps(capacity.bottleneck_of(self._impairments).rate, self._depth.train_ns)

    @property
    def _mean_bps(self) -> float:
        return capacity.mean_bps(capacity.bottleneck_of(self._impairments).rate)

    @property
    def is_light(self) -> bool:
        """Whether keeping the link busy takes so few datagrams that other links can be kept busy at the same time."""
        if self._has_bucket:
            return False
        busy = self._busy() if self._impairments.bottleneck else self._excess()
        return not self._depth.queues and busy.rate_bps < 8 * busy.frame_bytes * _LIGHT_PER_S

    @property
    def was_skipped(self) -> bool:
        """Whether the link was left out."""
        return self._check.skipped is not None

    def skip(self) -> None:
        """Leave the link out: the budget is used up."""
        self._check = replace(self._check, skipped=self._no_time())

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
        lasts_ns = sum(_START_NS + schedule.lasts_ns for schedule in shared) * len(self._probed)
        if reason := self._reason_to_skip(lasts_ns):
            self._check = replace(self._check, skipped=reason)
            return
        count = spaced.count + (dense.count if dense else 0)
        scripted = expected.scripted(impairments.drops, count, self._chosen)
        parts = 2 if dense else 1
        try:
            sample = self._sampled(spaced, nodes, lambda done: say(done / parts), scripted)
            if dense:
                more = self._sampled(dense, nodes, lambda done: say((1 + done) / parts), scripted)
                sample = sample.with_counts_of(more)
            findings = self._judge(sample)
            for _ in range(_ATTEMPTS - 1):
                if all(finding.passed for finding in findings if finding.name in TIMING):
                    break
                if not self._budget.allows(_START_NS + spaced.lasts_ns):
                    break
                _log.debug("%s: times are wrong, measure again", self._check.link)
                again = self._sampled(spaced, nodes, lambda _: None, scripted)
                sample = again.with_counts_of(sample)
                findings = self._judge(sample)
        except TestbedError as error:
            if self._budget.overrun:
                self._check = replace(self._check, skipped=self._no_time())
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
        if impairments.policer and self._unexceedable:
            yield unmeasured("policer", impairments.policer.rate_bps, self._unexceedable)
        if impairments.bottleneck and self._unfillable:
            yield unmeasured("rate", self._mean_bps, self._unfillable)

    @property
    def _probed(self) -> tuple[str, ...]:
        """The addresses that probes for delay and loss share: one of each family that the link has."""
        return self._addresses or ("",)

    def _sampled(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None], scripted: int) -> Sample:
        """Send a schedule's probes, the same number over each family, and return one sample of them all."""
        parts = len(self._probed)
        shared = schedule.shared_by(parts)
        samples = [
            self._sample_over(address, shared, nodes, parallel.share(say, place, parts), scripted)
            for place, address in enumerate(self._probed)
        ]
        return reduce(Sample.followed_by, samples)

    def _sample_over(
        self, address: str, schedule: Schedule, nodes: Nodes, say: Callable[[float], None], scripted: int
    ) -> Sample:
        record = self._send(schedule, nodes, say, address)
        if self._origin_ns is None or not self._impairments.delay_trace:
            return record.sample(scripted=scripted)
        excess_ns = traced.excess_ns(self._impairments, self._origin_ns, record.sent_ns)
        return record.sample(scripted=scripted, excess_ns=excess_ns)

    def _judge(self, sample: Sample) -> tuple[Finding, ...]:
        if self._path:
            return self._path.judge(sample, level=self._level)
        return judge(self._impairments, sample, level=self._level, origin_ns=self._origin_ns)

    def fill(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Keep the link busy and judge its rate and, if the depth includes queues, its queue."""
        if self._check.problem is not None or not self._check.arrived:
            return
        policer, bottleneck = self._impairments.policer, self._impairments.bottleneck
        measured: list[tuple[str, float, Measurement]] = []
        if policer and not self._unexceedable:
            measured.append(("policer", policer.rate_bps, self._policing))
        if bottleneck and not self._unfillable:
            measured.append(("rate", self._mean_bps, self._shaping if self._has_bucket else self._rate))
            if self._depth.queues:
                measured.append(("queue", bottleneck.queue_bytes, self._queue))
        for place, (name, asked, measure) in enumerate(measured):
            try:
                self._add(*measure(nodes, parallel.share(say, place, len(measured))))
            except TestbedError as error:
                if not self._budget.overrun:
                    self._check = replace(self._check, problem=error.message)
                    return
                self._add(unmeasured(name, asked, self._no_time()))

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
        hops = self._path.hops if self._path else [self._impairments]
        if self._packets.protocol is not None and any(hop.corruption for hop in hops):
            return f"of raw packets ({self._packets.protocol_name}), corrupted ones can't be told from lost ones"
        return None if self._budget.allows(lasts_ns) else self._no_time(lasts_ns)

    def _no_time(self, lasts_ns: int = 0) -> str:
        """Return the reason of a measurement for which the budget leaves no time."""
        if lasts_ns > self._budget.seconds * 1e9:
            return f"it takes {lasts_ns / 1e9:.0f} s, the check may take {self._budget.seconds:g} s (--check-budget)"
        return f"the check may take {self._budget.seconds:g} s (--check-budget)"

    def _add(self, *findings: Finding) -> None:
        self._check = replace(self._check, findings=(*self._check.findings, *findings))

    def _send(
        self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None], address: str | None = None
    ) -> TrainRecord:
        """Send a train, to the first address unless another is given."""
        to = address or self._addresses[0]
        return trains.send(schedule, self._link, nodes, address=to, packets=self._chosen, progress=say)

    def _busy(self, longer: int = 1, *, halved: bool = False) -> Schedule:
        longer *= _BUCKET_LONGER if self._token_bucket else 1
        return schedules.busy(self._impairments, self._mtu, self._depth.train_ns, longer=longer, halved=halved)

    def _excess(self) -> Schedule:
        """Return a schedule that exceeds the link's policer."""
        return schedules.exceeding(self._impairments, self._mtu, self._depth.train_ns)

    def _policing(self, nodes: Nodes, say: Callable[[float], None]) -> Sequence[Finding]:
        """Judge the policer. A busy machine may send too slowly, or lose packets: then a train is sent again."""
        policer, schedule, findings = policing.policer_of(self._impairments), self._excess(), []
        for _ in range(_ATTEMPTS):
            if not self._budget.allows(_START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, nodes, say)
            if train is None:
                continue
            findings.append(policing.judge_policer(self._impairments, train))
            if findings[-1].verdict in (AS_REQUESTED, TOO_HIGH):
                break
        no_time = unmeasured("policer", policer.rate_bps, self._no_time(_START_NS + schedule.lasts_ns))
        return [policing.conclude(findings) if findings else no_time]

    def _shaping(self, nodes: Nodes, say: Callable[[float], None]) -> Sequence[Finding]:
        """Judge a token bucket: its rate, what it holds, and its peak. A train may be spoiled by a busy machine."""
        schedule, found = schedules.bursting(self._impairments, self._mtu, self._depth.train_ns), []
        for _ in range(_ATTEMPTS):
            if not self._budget.allows(_START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, nodes, say)
            if train is None or not train.sequence:
                continue
            found.append(shaping.judge_shaper(self._impairments, train, level=self._level))
            if shaping.is_conclusive(found[-1]):
                break
        if not found:
            return [unmeasured("rate", self._mean_bps, self._no_time(_START_NS + schedule.lasts_ns))]
        return shaping.conclude(found)

    def _rate(self, nodes: Nodes, say: Callable[[float], None]) -> Sequence[Finding]:
        """Judge the rate. A busy machine lets the link fall idle or receives late: then a longer train is sent."""
        findings: list[Finding] = []
        for attempt in range(_ATTEMPTS):
            findings.append(self._rate_once(self._busy(2**attempt), nodes, say))
            if findings[-1].verdict == TOO_HIGH and not self._token_bucket:
                break
            if findings[-1].passed and rates.is_sharp(findings[-1]):
                break
        halved = self._busy(halved=True)
        if rates.conclude(findings, None).verdict != TOO_LOW or 2 * halved.frame_bytes > self._busy().frame_bytes:
            return [rates.conclude(findings, None)]
        for _ in range(_ATTEMPTS):
            smaller = self._rate_once(halved, nodes, say)
            if smaller.measured is not None:
                break
        return [rates.conclude(findings, smaller)]

    def _rate_once(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        mean_bps, lasts_ns = self._mean_bps, _START_NS + schedule.lasts_ns
        if not self._budget.allows(lasts_ns):
            return unmeasured("rate", mean_bps, self._no_time(lasts_ns))
        train = self._train(schedule, nodes, say)
        if train is None:
            return unmeasured("rate", mean_bps, rates.prober_reaches(schedule.rate_bps))
        if self._token_bucket:
            train = train.settled()
        return rates.judge_rate(self._impairments, train, level=self._level)

    def _train(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Train | None:
        """Send a train and return it; None if the machine was too busy to receive all of it."""
        record = self._send(schedule, nodes, say)
        return None if record.dropped else record.train()

    def _queue(self, nodes: Nodes, say: Callable[[float], None]) -> Sequence[Finding]:
        """Judge the depth of the queue. It looks deeper if the machine receives late, and drains if sending pauses."""
        impairments, bottleneck = self._impairments, capacity.bottleneck_of(self._impairments)
        if reason := schedules.unfillable(impairments):
            return [unmeasured("queue", bottleneck.queue_bytes, reason)]
        schedule = schedules.overflowing(impairments, self._mtu)
        finding = unmeasured("queue", bottleneck.queue_bytes, self._no_time(_START_NS + schedule.lasts_ns))
        for _ in range(_ATTEMPTS):
            if not self._budget.allows(_START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, nodes, say)
            if train is None:
                finding = unmeasured("queue", bottleneck.queue_bytes, rates.prober_reaches(schedule.rate_bps))
                continue
            finding = queues.judge_queue(impairments, train, base_ns=impairments.delay_ns)
            if finding.passed:
                break
        return [finding]
