"""Keep a link busy with trains of datagrams, and judge what its bottleneck and its policer let pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from testbed import units
from testbed.check import capacity, expected, policing, queues, rates, schedules, shaping
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.schedules import Schedule
from testbed.check.trains import TrainRecord
from testbed.check.verdict import AS_REQUESTED, Finding, unmeasured
from testbed.impairments import FixedRate, LossSteps, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.check.budget import Budget, Depth
    from testbed.check.rates import Train
    from testbed.impairments import Impairments

Send = Callable[[Schedule], TrainRecord]
"""Sends a train over the link."""

Measurement = Callable[[Send], Sequence[Finding]]

ATTEMPTS = 3
"""How often a measurement that a busy machine may have spoiled is made before the link is found wrong."""

START_NS = 500_000_000
"""The time that it takes to start the two ends of a train."""

_LOSS_MOST = 0.9
"""The loss of a train up to which a rate is measured; more loss would need too many datagrams."""

_LIGHT_PER_S = 1_000
"""The datagrams per second up to which several links can be kept busy at once with little load on the machine."""

_BUCKET_LONGER = 4
"""How much longer a train is before a bottleneck that may be a token bucket. Half of it empties the bucket, by what it
sends beyond the rate (`rates.PRESSURE`): one that lasts 50 ms at the rate, and in the third, longest train 200 ms."""

_OTHER_LIMIT = 2
"""How many times as fast as a bottleneck its policer has to be, and the other way round, for one to be measured."""


class Filling:
    """Measures the bottleneck and the policer of a link, or the lowest ones of a path.

    Args:
        impairments: of the link; of a path the combined ones.
        mtu: of the link or the path.
        hops: the impairments of each link of a path; empty for a link.
        depth: how thoroughly it is measured.
        level: the probability, per property, that what is as requested is found wrong.
        budget: of the check.
        token_bucket: the bottleneck may be a token bucket of another tool.
    """

    def __init__(
        self,
        impairments: Impairments,
        mtu: int,
        *,
        hops: Sequence[Impairments],
        depth: Depth,
        level: float,
        budget: Budget,
        token_bucket: bool,
    ) -> None:
        self._impairments = impairments
        self._mtu = mtu
        self._hops = hops
        self._depth = depth
        self._level = level
        self._budget = budget
        self._token_bucket = token_bucket

    @property
    def is_possible(self) -> bool:
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
            passing, filling = (units.RATE.format(round(rate)) for rate in (policer.rate_bps, self._peak_bps))
            return f"only packets faster than {filling} fill it, and the policer before it lets {passing} pass"
        if self._has_bucket:
            if self._hops:
                return "a burst passes it first"
            return schedules.unburstable(self._impairments, self._mtu, self._depth.train_ns)
        return None

    @property
    def _unexceedable(self) -> str | None:
        """The reason why a policer can't be measured, or None."""
        if self._hops:
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
        return any(isinstance(hop.loss, LossSteps) for hop in (self._hops or [self._impairments]))

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

    def unmeasured(self) -> Iterator[Finding]:
        """Yield a finding for each part that can't be measured."""
        impairments = self._impairments
        if impairments.policer and self._unexceedable:
            yield unmeasured("policer", impairments.policer.rate_bps, self._unexceedable)
        if impairments.bottleneck and self._unfillable:
            yield unmeasured("rate", self._mean_bps, self._unfillable)

    def measurements(self) -> Sequence[tuple[str, float, Measurement]]:
        """Return what can be measured: the name of the first finding, its requested value, and how."""
        policer, bottleneck = self._impairments.policer, self._impairments.bottleneck
        measured: list[tuple[str, float, Measurement]] = []
        if policer and not self._unexceedable:
            measured.append(("policer", policer.rate_bps, self._policing))
        if bottleneck and not self._unfillable:
            measured.append(("rate", self._mean_bps, self._shaping if self._has_bucket else self._rate))
            if self._depth.queues:
                measured.append(("queue", bottleneck.queue_bytes, self._queue))
        return measured

    def _busy(self, longer: int = 1, *, halved: bool = False) -> Schedule:
        longer *= _BUCKET_LONGER if self._token_bucket else 1
        return schedules.busy(self._impairments, self._mtu, self._depth.train_ns, longer=longer, halved=halved)

    def _excess(self) -> Schedule:
        """Return a schedule that exceeds the link's policer."""
        return schedules.exceeding(self._impairments, self._mtu, self._depth.train_ns)

    def _policing(self, send: Send) -> Sequence[Finding]:
        """Judge the policer. A busy machine may send too slowly, or lose packets: then a train is sent again."""
        policer, schedule, findings = policing.policer_of(self._impairments), self._excess(), []
        for _ in range(ATTEMPTS):
            if not self._budget.allows(START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, send)
            if train is None:
                continue
            findings.append(policing.judge_policer(self._impairments, train))
            if findings[-1].verdict in (AS_REQUESTED, TOO_HIGH):
                break
        no_time = unmeasured("policer", policer.rate_bps, self._budget.exceeded(START_NS + schedule.lasts_ns))
        return [policing.conclude(findings) if findings else no_time]

    def _shaping(self, send: Send) -> Sequence[Finding]:
        """Judge a token bucket: its rate, what it holds, and its peak. A train may be spoiled by a busy machine."""
        schedule, found = schedules.bursting(self._impairments, self._mtu, self._depth.train_ns), []
        for _ in range(ATTEMPTS):
            if not self._budget.allows(START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, send)
            if train is None or not train.sequence:
                continue
            found.append(shaping.judge_shaper(self._impairments, train, level=self._level))
            if shaping.is_conclusive(found[-1]):
                break
        if not found:
            return [unmeasured("rate", self._mean_bps, self._budget.exceeded(START_NS + schedule.lasts_ns))]
        return shaping.conclude(found)

    def _rate(self, send: Send) -> Sequence[Finding]:
        """Judge the rate. A busy machine lets the link fall idle or receives late: then a longer train is sent."""
        findings: list[Finding] = []
        for attempt in range(ATTEMPTS):
            findings.append(self._rate_once(self._busy(2**attempt), send))
            if findings[-1].verdict == TOO_HIGH and not self._token_bucket:
                break
            if findings[-1].passed and rates.is_sharp(findings[-1]):
                break
        halved = self._busy(halved=True)
        if rates.conclude(findings, None).verdict != TOO_LOW or 2 * halved.frame_bytes > self._busy().frame_bytes:
            return [rates.conclude(findings, None)]
        for _ in range(ATTEMPTS):
            smaller = self._rate_once(halved, send)
            if smaller.measured is not None:
                break
        return [rates.conclude(findings, smaller)]

    def _rate_once(self, schedule: Schedule, send: Send) -> Finding:
        mean_bps, lasts_ns = self._mean_bps, START_NS + schedule.lasts_ns
        if not self._budget.allows(lasts_ns):
            return unmeasured("rate", mean_bps, self._budget.exceeded(lasts_ns))
        train = self._train(schedule, send)
        if train is None:
            return unmeasured("rate", mean_bps, rates.prober_reaches(schedule.rate_bps))
        if self._token_bucket:
            train = train.settled()
        return rates.judge_rate(self._impairments, train, level=self._level)

    def _train(self, schedule: Schedule, send: Send) -> Train | None:
        """Send a train and return it; None if the machine was too busy to receive all of it."""
        record = send(schedule)
        return None if record.dropped else record.train()

    def _queue(self, send: Send) -> Sequence[Finding]:
        """Judge the depth of the queue. It looks deeper if the machine receives late, and drains if sending pauses."""
        impairments, bottleneck = self._impairments, capacity.bottleneck_of(self._impairments)
        if reason := schedules.unfillable(impairments):
            return [unmeasured("queue", bottleneck.queue_bytes, reason)]
        schedule = schedules.overflowing(impairments, self._mtu)
        finding = unmeasured("queue", bottleneck.queue_bytes, self._budget.exceeded(START_NS + schedule.lasts_ns))
        for _ in range(ATTEMPTS):
            if not self._budget.allows(START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, send)
            if train is None:
                finding = unmeasured("queue", bottleneck.queue_bytes, rates.prober_reaches(schedule.rate_bps))
                continue
            finding = queues.judge_queue(impairments, train, base_ns=impairments.delay_ns)
            if finding.passed:
                break
        return [finding]
