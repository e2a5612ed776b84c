"""Links measured by probes: a train of small datagrams from each link's source to its destination."""

from __future__ import annotations

import io
import json
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Self

from testbed import workloads
from testbed.check.verdict import FRAME_BYTES, LinkCheck, Sample, judge
from testbed.errors import LabError, TestbedError
from testbed.plan.model import Workload
from testbed.shape import CLEAR
from testbed.units import CERTAIN
from testbed.workloads import metrics
from testbed.workloads.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from testbed.plan.model import Link, Plan
    from testbed.shape import Shape
    from testbed.workloads import Nodes, Process

SIGNIFICANCE = 0.001
"""The probability with which a property of links that are all as asked is found wrong on any of them: it is shared
by the links (Bonferroni), so that a large lab does not fail more often than a small one."""

DEPTH_NS = 1_800_000_000
"""How long a link is probed, unless it takes longer to see enough."""

INTERVAL_NS = 2_000_000
"""Between two probes at least: 500 a second are nothing to the machine."""

LOAD = 10
"""Probes take at most one part in so many of a link's rate."""

ARRIVALS_LEAST = 50
"""Probes that should arrive for the bounds of medians and quartiles to be bounds at all."""

AT_ONCE = 16
"""Links probed at the same time: more would measure the machine."""

FIRST_PORT = 61_000
"""Of the first link's probes; above the ports that kernels hand out, and far from those of the workloads."""

_PORTS = 4_000
_SIZE_BYTES = 12
_ATTEMPTS = 3
_SLACK_NS = 300_000_000
_LOSS_FACTOR_MOST = 100
_SECOND = 1_000_000_000
_TICK_S = 0.1


def measure(
    plan: Plan,
    nodes: Nodes,
    *,
    links: Iterable[Link] | None = None,
    depth_ns: int = DEPTH_NS,
    progress: Callable[[float], None] | None = None,
) -> tuple[LinkCheck, ...]:
    """Probe links and compare what was measured with the shapes asked for. Takes about 3 s for 16 links.

    It takes longer where probes must be few (a low rate, a large jitter) or most of them are lost. Other traffic on
    the links shows in what is measured.

    Args:
        plan: of the lab.
        nodes: of the lab.
        links: those to probe, with the shapes to compare with; all of the plan's unless given.
        depth_ns: how long to probe each, ns.
        progress: called with the fraction done, in the calling thread.

    Returns:
        A check per link, in their order; one that could not be probed has a `problem`, and has not passed.
    """
    probed = plan.links if links is None else tuple(links)
    fractions = dict.fromkeys(range(len(probed)), 0.0)
    level = SIGNIFICANCE / max(len(probed), 1)
    with _Killing(nodes) as guarded, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:

        def check(number: int) -> LinkCheck:
            probe = _Probe(plan, probed[number], number, depth_ns)
            result = probe.check(guarded, level, lambda fraction: fractions.update({number: fraction}))
            fractions[number] = 1.0
            return result

        checks = [pool.submit(check, number) for number in fractions]
        try:
            pending = {*checks}
            while pending:
                pending = wait(pending, timeout=_TICK_S).not_done
                if progress is not None:
                    progress(sum(fractions.values()) / len(fractions))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            guarded.kill()
            raise
        return tuple(each.result() for each in checks)


class _Killing:
    """A lab's nodes, until they are to do no more: then what runs in them is killed, and nothing can be started."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._processes: list[Process] = []
        self._killed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def endpoint(self, node: str, spec: Mapping[str, Any]) -> Process:
        """See `testbed.workloads.Nodes`."""
        process = self._nodes.endpoint(node, spec)
        self._processes.append(process)
        if self._killed:
            process.kill()
        return process

    def kill(self) -> None:
        """Kill all that runs, and all that is started from now on."""
        self._killed = True
        for process in self._processes:
            process.kill()


class _Probe:
    """The probes of one link."""

    def __init__(self, plan: Plan, link: Link, number: int, depth_ns: int) -> None:
        self._link = link
        self._shape = shape = link.shape
        self._address = plan.node(link.destination).on(link.network).address
        self._port = FIRST_PORT + number % _PORTS
        self._interval_ns = interval_ns(shape)
        self._count = probes(shape, depth_ns)
        # The first train begins with ARP, there and back; see `_counting`.
        back = _reverse(plan, link)
        longest_ns = shape.delay_ns + shape.jitter_ns
        self._settling_ns = 3 * longest_ns + back.delay_ns + back.jitter_ns
        self._in_flight_ns = longest_ns + _SLACK_NS

    def check(self, nodes: Nodes, level: float, progress: Callable[[float], None]) -> LinkCheck:
        """Probe the link and judge."""
        try:
            sample = self._sample(nodes, progress)
        except TestbedError as error:
            return self._result(problem=error.message)
        return self._result(sample, level)

    def _result(self, sample: Sample | None = None, level: float = 0, problem: str | None = None) -> LinkCheck:
        return LinkCheck(
            source=self._link.source,
            destination=self._link.destination,
            network=self._link.network,
            asked=self._shape,
            sent=sample.sent if sample else 0,
            arrived=len(sample.delays_ns) if sample else 0,
            findings=judge(self._shape, sample, level=level) if sample else (),
            problem=problem,
        )

    def _sample(self, nodes: Nodes, progress: Callable[[float], None]) -> Sample:
        """A train of which at least half counts, or the last of several: ARP is lost like all else."""
        for attempt in range(_ATTEMPTS):
            sample = self._train(nodes, attempt, progress)
            if (2 * sample.sent >= self._count and sample.delays_ns) or self._shape.loss == CERTAIN:
                break
        if not sample.sent:
            raise LabError("probes-held-up", f"{self._link.name}: probes arrive, but only after all had been sent")
        return sample

    def _train(self, nodes: Nodes, attempt: int, progress: Callable[[float], None]) -> Sample:
        workload = self._workload(attempt)
        record = io.StringIO()
        summary = workloads.run(workload, nodes, record=record, in_flight_ns=self._in_flight_ns, progress=progress)
        if summary.number("receiver_drops"):
            raise LabError("probes-dropped", f"{self._link.name}: this machine was too busy to receive all probes")
        messages = Messages()
        for line in record.getvalue().splitlines():
            messages.add(json.loads(line))
        return counting(messages)

    def _workload(self, attempt: int) -> Workload:
        return Workload(
            name=f"check {self._link.name}",
            kind="udp-stream",
            source=self._link.source,
            destination=self._link.destination,
            address=self._address,
            port=self._port,
            seed=(self._link.seed + attempt) % (1 << 64),
            parameters={
                "rate_bps": max(8 * _SIZE_BYTES * _SECOND // self._interval_ns, 1),
                "size_bytes": _SIZE_BYTES,
                "duration_ns": self._count * self._interval_ns + self._settling_ns,
            },
        )


def interval_ns(shape: Shape) -> int:
    """The time between two probes of a link.

    A packet never overtakes the one before it, but at twice the jitter after it, it can't have caught up either: so
    the delays are independent of each other, and those that the shape asks for.
    """
    light_ns = -(-8 * FRAME_BYTES * LOAD * _SECOND // shape.rate_bps) if shape.rate_bps else 0
    return max(INTERVAL_NS, 2 * shape.jitter_ns, light_ns)


def probes(shape: Shape, depth_ns: int) -> int:
    """How many probes of a link should count."""
    per_arrival = min(CERTAIN / max(CERTAIN - shape.loss, 1), _LOSS_FACTOR_MOST) if shape.loss < CERTAIN else 1
    return max(depth_ns // interval_ns(shape), round(ARRIVALS_LEAST * per_arrival))


def counting(messages: Messages) -> Sample:
    """Leave out the probes that waited for ARP, and those behind them.

    Until the destination's address is known, its packets wait in the source and then go in one burst. The first arrival
    says that it is known; when all that were sent before that have arrived, the burst is over. What is sent from then
    on counts; when that is, its own fate has no part in. Where nothing arrives, all count.
    """
    arrivals = messages.arrivals()
    sent_ns = messages.sent_ns
    first = 0
    if arrivals.sequence:
        burst = bisect_right(sent_ns, arrivals.received_ns[0])
        over_ns = max(
            at_ns for number, at_ns in zip(arrivals.sequence, arrivals.received_ns, strict=True) if number < burst
        )
        first = bisect_right(sent_ns, over_ns)
    delays_ns = (
        at_ns - sent_ns[number]
        for number, at_ns in zip(arrivals.sequence, arrivals.received_ns, strict=True)
        if number >= first
    )
    return Sample(
        sent=len(sent_ns) - first,
        delays_ns=sorted(delays_ns),
        duplicates=arrivals.duplicates,
        reordered=metrics.reordered(arrivals.sequence),
    )


def _reverse(plan: Plan, link: Link) -> Shape:
    """The shape of the way back."""
    ends = (link.destination, link.source, link.network)
    shapes = (each.shape for each in plan.links if (each.source, each.destination, each.network) == ends)
    return next(shapes, CLEAR)
