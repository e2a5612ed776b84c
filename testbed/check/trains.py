"""Send trains of datagrams over one link and record which of them arrive, and when."""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass
from itertools import accumulate
from operator import gt
from typing import TYPE_CHECKING

from testbed import records
from testbed.check.lateness import LATE_SHARE, met_another
from testbed.check.rates import HEADER_BYTES, Train
from testbed.check.samples import ProbeSample
from testbed.errors import LabError
from testbed.families import family_of
from testbed.plan.workloads import Workload
from testbed.workloads.running import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.check.schedules import Schedule
    from testbed.check.selection import ProbePackets
    from testbed.plan.model import Link
    from testbed.workloads.nodes import Nodes

DROPPED = "probes-dropped"
"""The code of the error that the receiver could not read all probes in time."""

_SPREAD = 0x9E3779B97F4A7C15
"""Keeps the seeds of trains far apart: a datagram of another train must not look like one with a wrong bit."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecord:
    """The record of a train: its datagrams by sequence number, the arrivals in order.

    Attributes:
        frame_bytes: the size of each frame on the link.
        sent_ns: when each datagram was sent.
        sequence: the number of the datagram of each arrival.
        received_ns: the time of each arrival.
        unexpected: the number of datagrams that arrived and are not as they were sent: corrupted or of another sender.
        dropped: the number of datagrams that arrived and found the receive buffer full.
    """

    frame_bytes: int
    sent_ns: array[int]
    sequence: array[int]
    received_ns: array[int]
    unexpected: int
    dropped: int = 0

    def train(self) -> Train:
        """Return the record as a train, from which a rate is judged."""
        return Train(
            frame_bytes=self.frame_bytes,
            sent_ns=self.sent_ns,
            sequence=self.sequence,
            received_ns=self.received_ns,
        )

    def sample(self, *, scripted: int, service_ns: int = 0, excess_ns: Sequence[int] | None = None) -> ProbeSample:
        """Return the record as a sample, from which delay and loss are judged.

        Args:
            scripted: how many of its datagrams scripted drops may have hit.
            service_ns: the most time that a bottleneck of the link takes for one datagram; 0 without a bottleneck.
            excess_ns: by how much the delay requested for each differs from the link's mean (`traced.excess_ns`).

        Raises:
            LabError: `DROPPED`, the receiver was too busy to read all that arrived, so losses can't be counted.
        """
        if self.dropped:
            raise LabError(DROPPED, "this machine was too busy to receive all probes")
        ledger, deliveries = records.match(self.sent_ns, self.sequence, self.received_ns)
        latencies_ns = dict(zip(deliveries.seq, deliveries.latencies_ns, strict=True))
        met = met_another(self.sent_ns, service_ns)
        return ProbeSample(
            sent=len(ledger),
            arrived=ledger.delivered,
            delays_ns=[
                latencies_ns[number] - (excess_ns[number] if excess_ns else 0)
                for number in sorted(latencies_ns)
                if not met[number]
            ],
            runs=sum(1 for _ in ledger.loss_runs()),
            duplicates=ledger.duplicates,
            reordered=ledger.reordered,
            overtaking=_overtaking(deliveries.seq),
            sent_ns=self.sent_ns,
            unexpected=self.unexpected,
            scripted=scripted,
            crowded=sum(met) > LATE_SHARE * len(met),
        )


def send(
    schedule: Schedule,
    link: Link,
    nodes: Nodes,
    *,
    address: str,
    packets: ProbePackets,
    number: int,
    kernel_times: bool,
    progress: Callable[[float], None],
) -> TrainRecord:
    """Send a train from the link's source to its destination.

    Args:
        schedule: its size and pace.
        link: the link.
        nodes: the nodes of the lab.
        address: the receiver's.
        packets: what it is made of.
        number: another one for each train of a link, so that datagrams of an earlier train that come late are known.
        kernel_times: whether arrivals are those in the receiver's kernel, so that a receiver that has to wait for a
            processor does not delay them. It costs a system call for each datagram.
        progress: called with the fraction done.

    Raises:
        LabError: an endpoint failed.
    """
    size_bytes = schedule.frame_bytes - HEADER_BYTES[family_of(address)]
    rate_bps = max(schedule.rate_bps * size_bytes // schedule.frame_bytes, 1)
    workload = Workload(
        name=f"check {link.name}",
        kind="udp-stream",
        source=link.source,
        destination=link.destination,
        address=address,
        port=packets.destination_port,
        seed=(link.seed + number * _SPREAD) % (1 << 64),
        parameters={
            "rate_bps": rate_bps,
            "size_bytes": size_bytes,
            "duration_ns": max(schedule.count * 8 * size_bytes * _SECOND // rate_bps, 1),
            "kernel_times": kernel_times,
            **packets.parameters,
        },
    )
    record = io.StringIO()
    run(workload, nodes, record=record, in_flight_ns=schedule.in_flight_ns, progress=progress)
    return _train_record(record, schedule.frame_bytes, link)


def _overtaking(seq: array[int]) -> int:
    """Return how many datagrams arrived before one with a lower number, which was sent earlier."""
    lowest_after = accumulate(reversed(seq), min)
    return sum(map(gt, reversed(seq), lowest_after))


def _train_record(record: io.StringIO, frame_bytes: int, link: Link) -> TrainRecord:
    sent_ns, sequence, received_ns = array("q"), array("q"), array("q")
    unexpected = dropped = 0
    for event in map(records.parse, record.getvalue().splitlines()):
        match event:
            case records.Sent():
                sent_ns.extend(event.sent_ns)
            case records.Received():
                sequence.extend(event.seq)
                received_ns.extend(event.received_ns)
            case records.End(node=link.destination, totals=totals):
                unexpected, dropped = totals["strangers"] + totals["corrupted"], totals["drops"]
    return TrainRecord(
        frame_bytes=frame_bytes,
        sent_ns=sent_ns,
        sequence=sequence,
        received_ns=received_ns,
        unexpected=unexpected,
        dropped=dropped,
    )
