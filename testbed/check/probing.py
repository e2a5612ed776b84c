"""Links measured by datagrams from source to destination: small and few for delay and loss, then fast and large."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed.check import expected, rates, schedules, together, trains
from testbed.check.judging import TIMING, judge
from testbed.check.verdict import Finding, LinkCheck, unmeasured
from testbed.errors import TestbedError
from testbed.workloads import Guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testbed.check.schedules import Schedule
    from testbed.check.trains import Seen
    from testbed.plan.model import Link, Plan
    from testbed.workloads import Nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How thoroughly links are measured.

    Attributes:
        probes_ns: how long each is probed for delay and loss, unless it takes longer to see enough.
        train_ns: how long each with a bottleneck is kept busy, unless it takes longer to see enough.
        queues: whether the queues before bottlenecks are filled.
    """

    probes_ns: int
    train_ns: int
    queues: bool


QUICK = Depth(probes_ns=1_800_000_000, train_ns=100_000_000, queues=False)
"""Before a run: a few seconds."""

DEEP = Depth(probes_ns=20_000_000_000, train_ns=1_000_000_000, queues=True)
"""All that can be measured: half a minute, or more with many links."""

SIGNIFICANCE = 0.001
"""The probability with which a property of links that are all as asked is found wrong on any of them: it is shared
by the links and their properties (Bonferroni), so that a large lab does not fail more often than a small one."""

AT_ONCE = 16
"""Links probed at the same time: more would measure the machine."""

FIRST_PORT = 61_000
"""Of the first link's probes; above the ports that kernels hand out, and far from those of the workloads."""

_PORTS = 4_000
_PROPERTIES = 10
_ATTEMPTS = 3
"""Until what this machine may have spoiled counts as the link's."""

_LOSS_MOST = 0.9
"""Of the datagrams of a train: beyond, too many would have to be sent."""


def measure(
    plan: Plan,
    nodes: Nodes,
    *,
    links: Iterable[Link] | None = None,
    depth: Depth = QUICK,
    progress: Callable[[float], None] | None = None,
) -> tuple[LinkCheck, ...]:
    """Probe links and compare what was measured with the shapes asked for. Takes some 4 s for a few links.

    First all links are probed for delay and loss, side by side; then those with a bottleneck are kept busy for a
    moment, a few at a time, so that neither the machine nor the links before and behind tell in a rate.
    It takes longer where probes must be few (a low rate, a large jitter) or most of them are lost. Other traffic on
    the links shows in what is measured, and scripted drops count the probes like all else: afterwards they have to be
    started anew.

    Args:
        plan: of the lab.
        nodes: of the lab.
        links: those to probe, with the shapes to compare with; all of the plan's unless given.
        depth: `QUICK` or `DEEP`.
        progress: called with the fraction done, in the calling thread.

    Returns:
        A check per link, in their order; one that could not be probed has a `problem`, and has not passed.
    """
    probed = plan.links if links is None else tuple(links)
    level = SIGNIFICANCE / max(len(probed) * _PROPERTIES, 1)
    probes = [_Probe(plan, link, number, depth, level) for number, link in enumerate(probed)]
    busy = [probe for probe in probes if probe.fillable]
    with Guarded(nodes) as guarded:
        told = together.Told(progress, len(probes) + len(busy))
        together.each(probes, AT_ONCE, lambda probe, say: probe.sample(guarded, say), told, guarded)
        together.each(busy, os.cpu_count() or 1, lambda probe, say: probe.fill(guarded, say), told, guarded)
    return tuple(probe.result() for probe in probes)


class _Probe:
    """The probes of one link, and what they found."""

    def __init__(self, plan: Plan, link: Link, number: int, depth: Depth, level: float) -> None:
        self._link = link
        self._shape = link.shape
        self._address = plan.node(link.destination).on(link.network).address
        self._mtu = next(network.mtu for network in plan.networks if network.name == link.network)
        self._port = FIRST_PORT + number % _PORTS
        self._depth = depth
        self._level = level
        self._check = LinkCheck(
            source=link.source,
            destination=link.destination,
            network=link.network,
            asked=link.shape,
            sent=0,
            arrived=0,
            findings=(),
        )

    @property
    def fillable(self) -> bool:
        """Whether the link has a bottleneck that can be kept busy."""
        return self._shape.has_bottleneck and expected.of(self._shape).loss.rate < _LOSS_MOST

    def result(self) -> LinkCheck:
        """All that was found."""
        return self._check

    def sample(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Probe for delay and loss, and judge. A hesitation of the machine passes, a wrong delay does not."""
        shape = self._shape
        apart, crowd = schedules.apart(shape, self._depth.probes_ns), schedules.crowd(shape, self._depth.probes_ns)
        scripted = expected.scripted(shape.drops, apart.count + (crowd.count if crowd else 0), self._port)
        parts = 2 if crowd else 1
        try:
            sample = self._send(apart, nodes, lambda done: say(done / parts)).sample(scripted=scripted)
            if crowd:
                more = self._send(crowd, nodes, lambda done: say((1 + done) / parts)).sample(scripted=scripted)
                sample = sample.with_losses_of(more)
            findings = judge(shape, sample, level=self._level)
            for _ in range(_ATTEMPTS - 1):
                if all(each.passed for each in findings if each.name in TIMING):
                    break
                again = self._send(apart, nodes, lambda _: None).sample(scripted=scripted)
                sample = again.with_losses_of(sample)
                findings = judge(shape, sample, level=self._level)
        except TestbedError as error:
            self._check = replace(self._check, problem=error.message)
            return
        self._check = replace(self._check, sent=sample.sent, arrived=sample.arrived)
        self._found(*findings)
        if shape.drops:
            self._found(unmeasured("drops", len(shape.drops), "a script is for the packets that it names"))
        if shape.has_bottleneck and not self.fillable:
            self._found(unmeasured("rate", rates.mean_bps(shape), "too much is lost to keep the link busy"))

    def fill(self, nodes: Nodes, say: Callable[[float], None]) -> None:
        """Keep the link busy, and judge its rate, and its queue if asked to."""
        if self._check.problem is not None or not self._check.arrived:
            return
        parts = 2 if self._depth.queues else 1
        try:
            self._found(self._rate(nodes, lambda done: say(done / parts)))
            if self._depth.queues:
                self._found(self._queue(nodes, lambda done: say((1 + done) / parts)))
        except TestbedError as error:
            self._check = replace(self._check, problem=error.message)

    def _found(self, *findings: Finding) -> None:
        self._check = replace(self._check, findings=(*self._check.findings, *findings))

    def _send(self, schedule: Schedule, nodes: Nodes, say: Callable[[float], None]) -> Seen:
        return trains.send(schedule, self._link, nodes, address=self._address, port=self._port, progress=say)

    def _rate(self, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        """A machine with other things to do lets the link fall idle, or receives late: then another train is sent."""
        schedule = schedules.busy(self._shape, self._mtu, self._depth.train_ns)
        tries = []
        for _ in range(_ATTEMPTS):
            train = self._send(schedule, nodes, say).train()
            found = rates.judge_rate(self._shape, train, level=self._level)
            if found is None:
                continue
            tries.append(found)
            if found.passed and rates.is_sharp(found):
                break
        best = min(tries, key=lambda each: (not each.passed, rates.width(each)), default=None)
        return best or rates.unfilled(self._shape, train)

    def _queue(self, nodes: Nodes, say: Callable[[float], None]) -> Finding:
        """A machine that receives late makes a queue look deeper, one that stops sending lets it drain."""
        shape = self._shape
        if reason := schedules.unfillable(shape):
            return unmeasured("queue", shape.queue_bytes, reason)
        for _ in range(_ATTEMPTS):
            train = self._send(schedules.overflowing(shape, self._mtu), nodes, say).train()
            found = rates.judge_queue(shape, train, base_ns=shape.delay_ns)
            if found.passed:
                break
        return found
