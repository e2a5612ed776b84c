"""The probes of one link, and what they found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.check import capacity, expected, queues, rates, schedules, trains
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.judging import TIMING, judge
from testbed.check.verdict import Finding, LinkCheck, unmeasured
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from testbed.check.budget import Budget, Depth
    from testbed.check.rates import Train
    from testbed.check.schedules import Schedule
    from testbed.check.trains import Seen
    from testbed.plan.model import Link, Plan
    from testbed.workloads.nodes import Nodes

FIRST_PORT = 61_000
"""Of the first link's probes; above the ports that kernels hand out, and far from those of the workloads."""

_PORTS = 4_000
_ATTEMPTS = 3
"""Until what this machine may have spoiled counts as the link's."""

_LOSS_MOST = 0.9
"""Of the datagrams of a train: beyond, too many would have to be sent."""

_LIGHT_PER_S = 1_000
"""Datagrams in a second up to which several links can be kept busy at once and the machine hardly notices."""

_START_NS = 500_000_000
"""What it takes to start the two ends of a train."""


class Probe:
    """The probes of one link, and what they found.

    Attributes:
        kind: what is the same for links that differ by their nodes only.
    """

    def __init__(self, plan: Plan, link: Link, number: int, *, depth: Depth, level: float, budget: Budget) -> None:
        self._link = link
        self._impairments = link.impairments
        self._address = plan.node(link.destination).on(link.network).address
        self._mtu = next(network.mtu for network in plan.networks if network.name == link.network)
        self._port = FIRST_PORT + number % _PORTS
        self._depth = depth
        self._level = level
        self._budget = budget
        self.kind: Hashable = (link.impairments, link.engine, self._mtu)
        self._check = LinkCheck(
            source=link.source,
            destination=link.destination,
            network=link.network,
            asked=link.impairments,
            sent=0,
            arrived=0,
            findings=(),
        )

    @property
    def fillable(self) -> bool:
        """Whether the link has a bottleneck that can be kept busy."""
        return self._impairments.bottleneck is not None and expected.of(self._impairments).loss.rate < _LOSS_MOST

    @property
    def _mean_bps(self) -> float:
        return capacity.mean_bps(capacity.bottleneck_of(self._impairments).rate)

    @property
    def is_light(self) -> bool:
        """Whether it takes so little to keep the link busy that others can be kept busy at the same time."""
        busy = self._busy()
        return not self._depth.queues and busy.rate_bps < 8 * busy.frame_bytes * _LIGHT_PER_S

    def result(self, others: Iterable[Probe]) -> LinkCheck:
        """Everything that was found; of a link that was not probed, how many of its kind were."""
        if self._check.skipped is None:
            return self._check
        like = [other for other in others if other.kind == self.kind]
        measured = sum(other._check.skipped is None for other in like)  # noqa: SLF001 (its own class)
        of_its_kind = f"; of {len(like)} links like it {measured} were measured" if measured else ""
        return replace(self._check, skipped=f"{self._check.skipped}{of_its_kind}")

    def sample(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Probe for delay and loss, and judge. A hesitation of the machine passes, a wrong delay does not."""
        impairments = self._impairments
        apart, crowd = (
            schedules.apart(impairments, self._depth.probes_ns),
            schedules.crowd(impairments, self._depth.probes_ns),
        )
        lasts_ns = sum(_START_NS + each.lasts_ns for each in (apart, crowd) if each)
        if not self._budget.allows(lasts_ns):
            self._check = replace(self._check, skipped=self._no_time(lasts_ns))
            return
        scripted = expected.scripted(impairments.drops, apart.count + (crowd.count if crowd else 0), self._port)
        parts = 2 if crowd else 1
        try:
            sample = self._send(apart, nodes, lambda done: say(done / parts)).sample(scripted=scripted)
            if crowd:
                more = self._send(crowd, nodes, lambda done: say((1 + done) / parts)).sample(scripted=scripted)
                sample = sample.with_losses_of(more)
            findings = judge(impairments, sample, level=self._level)
            for _ in range(_ATTEMPTS - 1):
                if all(each.passed for each in findings if each.name in TIMING):
                    break
                if not self._budget.allows(_START_NS + apart.lasts_ns):
                    break
                again = self._send(apart, nodes, lambda _: None).sample(scripted=scripted)
                sample = again.with_losses_of(sample)
                findings = judge(impairments, sample, level=self._level)
        except TestbedError as error:
            if self._budget.overrun:
                self._check = replace(self._check, skipped=self._no_time())
            else:
                self._check = replace(self._check, problem=error.message)
            return
        self._check = replace(self._check, sent=sample.sent, arrived=sample.arrived)
        self._found(*findings)
        if impairments.drops:
            self._found(unmeasured("drops", len(impairments.drops), "a script is for the packets that it names"))
        if impairments.bottleneck and not self.fillable:
            self._found(unmeasured("rate", self._mean_bps, "too much is lost to keep the link busy"))

    def fill(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Keep the link busy, and judge its rate, and its queue if the depth says so."""
        if self._check.problem is not None or not self._check.arrived:
            return
        parts = 2 if self._depth.queues else 1
        try:
            self._found(self._rate(nodes, lambda done: say(done / parts)))
            if self._depth.queues:
                self._found(self._queue(nodes, lambda done: say((1 + done) / parts)))
        except TestbedError as error:
            if self._budget.overrun:
                self._found(unmeasured("rate", self._mean_bps, self._no_time()))
            else:
                self._check = replace(self._check, problem=error.message)

    def _no_time(self, lasts_ns: int = 0) -> str:
        """Why something was not measured: the budget leaves no time for it."""
        if lasts_ns > self._budget.seconds * 1e9:
            return f"it takes {lasts_ns / 1e9:.0f} s, the check may take {self._budget.seconds:g} s (--check-budget)"
        return f"the check may take {self._budget.seconds:g} s (--check-budget)"

    def _found(self, *findings: Finding) -> None:
        self._check = replace(self._check, findings=(*self._check.findings, *findings))

    def _send(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Seen:
        return trains.send(schedule, self._link, nodes, address=self._address, port=self._port, progress=say)

    def _busy(self, longer: int = 1, *, halved: bool = False) -> Schedule:
        return schedules.busy(self._impairments, self._mtu, self._depth.train_ns, longer=longer, halved=halved)

    def _rate(self, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        """A machine with other things to do lets the link fall idle, or receives late: then a longer train is sent."""
        found: list[Finding] = []
        for attempt in range(_ATTEMPTS):
            found.append(self._rate_once(self._busy(2**attempt), nodes, say))
            if found[-1].verdict == TOO_HIGH or (found[-1].passed and rates.is_sharp(found[-1])):
                break
        halved = self._busy(halved=True)
        if rates.conclude(found, None).verdict != TOO_LOW or 2 * halved.frame_bytes > self._busy().frame_bytes:
            return rates.conclude(found, None)
        for _ in range(_ATTEMPTS):
            smaller = self._rate_once(halved, nodes, say)
            if smaller.measured is not None:
                break
        return rates.conclude(found, smaller)

    def _rate_once(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        mean_bps, lasts_ns = self._mean_bps, _START_NS + schedule.lasts_ns
        if not self._budget.allows(lasts_ns):
            return unmeasured("rate", mean_bps, self._no_time(lasts_ns))
        train = self._train(schedule, nodes, say)
        if train is None:
            return unmeasured("rate", mean_bps, rates.prober_reaches(schedule.rate_bps))
        return rates.judge_rate(self._impairments, train, level=self._level)

    def _train(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Train | None:
        """A train that was sent; None where the machine was too busy to receive all of it."""
        seen = self._send(schedule, nodes, say)
        return None if seen.dropped else seen.train()

    def _queue(self, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        """A machine that receives late makes a queue look deeper, one that stops sending lets it drain."""
        impairments, bottleneck = self._impairments, capacity.bottleneck_of(self._impairments)
        if reason := schedules.unfillable(bottleneck):
            return unmeasured("queue", bottleneck.queue_bytes, reason)
        schedule = schedules.overflowing(impairments, self._mtu)
        found = unmeasured("queue", bottleneck.queue_bytes, self._no_time(_START_NS + schedule.lasts_ns))
        for _ in range(_ATTEMPTS):
            if not self._budget.allows(_START_NS + schedule.lasts_ns):
                break
            train = self._train(schedule, nodes, say)
            if train is None:
                found = unmeasured("queue", bottleneck.queue_bytes, rates.prober_reaches(schedule.rate_bps))
                continue
            found = queues.judge_queue(impairments, train, base_ns=impairments.delay_ns)
            if found.passed:
                break
        return found
