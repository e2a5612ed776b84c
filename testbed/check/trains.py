"""Trains of datagrams over one link: how they are sent, and what became of them."""

from __future__ import annotations

import io
import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.check.rates import HEADER_BYTES, Train
from testbed.check.samples import Sample
from testbed.endpoint.columns import decode
from testbed.errors import LabError
from testbed.plan.model import Workload
from testbed.workloads import metrics
from testbed.workloads.running import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.check.schedules import Schedule
    from testbed.plan.model import Link
    from testbed.workloads.nodes import Nodes

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a train, by sequence number and in the order of arrival.

    Attributes:
        frame_bytes: of each datagram on the link.
        sent_ns: when each was sent.
        sequence: the numbers of those that arrived.
        received_ns: when each of these arrived.
        strangers: datagrams that arrived and were not sent like that.
        dropped: datagrams that arrived and found the receive buffer full.
    """

    frame_bytes: int
    sent_ns: array[int]
    sequence: array[int]
    received_ns: array[int]
    strangers: int
    dropped: int = 0

    def train(self) -> Train:
        """As evidence of a rate."""
        return Train(
            frame_bytes=self.frame_bytes,
            sent_ns=self.sent_ns,
            sequence=self.sequence,
            received_ns=self.received_ns,
        )

    def sample(self, *, scripted: int) -> Sample:
        """As evidence of delay and loss.

        Raises:
            LabError: the receiver was too busy to take in everything that arrived: what was lost can't be told.
        """
        if self.dropped:
            raise LabError("probes-dropped", "this machine was too busy to receive all probes")
        first: dict[int, int] = {}
        for number, at_ns in zip(self.sequence, self.received_ns, strict=True):
            first.setdefault(number, at_ns)
        return Sample(
            sent=len(self.sent_ns),
            arrived=len(first),
            delays_ns=[first[number] - self.sent_ns[number] for number in sorted(first)],
            runs=len(metrics.loss_runs(number in first for number in range(len(self.sent_ns)))),
            duplicates=len(self.sequence) - len(first),
            reordered=metrics.reordered(first),
            overtaking=metrics.reordered(len(self.sent_ns) - number for number in reversed(first)),
            sent_ns=self.sent_ns,
            strangers=self.strangers,
            scripted=scripted,
        )


def send(  # a train is told by its place, its form and its time
    schedule: Schedule,
    link: Link,
    nodes: Nodes,
    *,
    address: str,
    port: int,
    progress: Callable[[float], None],
) -> Seen:
    """Send a train from the link's source to its destination.

    Raises:
        LabError: an endpoint failed.
    """
    size_bytes = schedule.frame_bytes - HEADER_BYTES
    rate_bps = max(schedule.rate_bps * size_bytes // schedule.frame_bytes, 1)
    workload = Workload(
        name=f"check {link.name}",
        kind="udp-stream",
        source=link.source,
        destination=link.destination,
        address=address,
        port=port,
        seed=link.seed,
        parameters={
            "rate_bps": rate_bps,
            "size_bytes": size_bytes,
            "duration_ns": max(schedule.count * 8 * size_bytes * _SECOND // rate_bps, 1),
        },
    )
    record = io.StringIO()
    run(workload, nodes, record=record, in_flight_ns=schedule.in_flight_ns, progress=progress)
    return _seen(record, schedule.frame_bytes, link)


def _seen(record: io.StringIO, frame_bytes: int, link: Link) -> Seen:
    sent_ns, sequence, received_ns = array("q"), array("q"), array("q")
    strangers = dropped = 0
    for told in map(json.loads, record.getvalue().splitlines()):
        if told["event"] == "sent":
            sent_ns.extend(decode(told["sent_ns"]))
        elif told["event"] == "received":
            sequence.extend(decode(told["seq"]))
            received_ns.extend(decode(told["received_ns"]))
        elif told["event"] == "end" and told["node"] == link.destination:
            strangers, dropped = told["strangers"] + told["corrupted"], told["drops"]
    return Seen(
        frame_bytes=frame_bytes,
        sent_ns=sent_ns,
        sequence=sequence,
        received_ns=received_ns,
        strangers=strangers,
        dropped=dropped,
    )
