"""The raw samples of a workload, read line by line into what is plotted of them.

What is kept is bounded but for 9 bytes per message: when it was sent, and whether it arrived.
"""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING, Any

from testbed.endpoint.columns import decode
from testbed.results.report.bins import Bins, Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from testbed.plan.model import Workload

GOODPUT_NS = 100_000_000
_FINEST_NS = 1_000_000
_UNSET = 0x7FFFFFFF
"""The least slow-start threshold that means there is none (TCP_INFINITE_SSTHRESH of include/net/tcp.h)."""


class Flow:
    """Payload delivered over time.

    Attributes:
        delivered: bytes, over time, ns.
        first_ns, last_ns: about when the first and the last arrived.
    """

    def __init__(self) -> None:
        self.delivered = Bins(GOODPUT_NS)
        self.first_ns = self.last_ns = 0

    def add(self, at_ns: int, size: int) -> None:
        """Take in what arrived."""
        self.first_ns = self.first_ns or at_ns
        self.last_ns = max(self.last_ns, at_ns)
        self.delivered.add(at_ns, size)


class Sender:
    """The state of a TCP sender over time, ns: `rtt` (ns), `cwnd` and `ssthresh` (segments), `retransmits` (new)."""

    def __init__(self) -> None:
        self.rtt, self.cwnd, self.ssthresh, self.retransmits = (Bins(_FINEST_NS) for _ in range(4))
        self._retransmits = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in a line `tcp-info`."""
        columns = {name: decode(record[name]) for name in ("at_ns", "rtt_ns", "cwnd", "ssthresh", "retransmits")}
        for at_ns, rtt_ns, cwnd, ssthresh, retransmits in zip(*columns.values(), strict=True):
            self.rtt.add(at_ns, rtt_ns)
            self.cwnd.add(at_ns, cwnd)
            if ssthresh < _UNSET:
                self.ssthresh.add(at_ns, ssthresh)
            if retransmits > self._retransmits:
                self.retransmits.add(at_ns, retransmits - self._retransmits)
                self._retransmits = retransmits


class Messages:
    """What became of messages.

    Attributes:
        latency: over the time of sending, ns.
        latencies: their distribution, ns.
        lost_at: the lost over the time of sending, ns.
        lost, reordered, duplicated: those that were, over the sequence number.
    """

    def __init__(self, timeout_ns: int | None) -> None:
        self.latency, self.lost_at = Bins(_FINEST_NS), Bins(_FINEST_NS)
        self.latencies = Distribution()
        self.lost, self.reordered, self.duplicated = (Bins(1) for _ in range(3))
        self.sent_ns = array("q")
        self._arrived = bytearray()
        self._timeout_ns = timeout_ns
        self._expected = 0
        self._pending: list[tuple[array[int], array[int]]] = []

    def __len__(self) -> int:
        return len(self.sent_ns)

    def sent(self, record: Mapping[str, Any]) -> None:
        """Take in a line `sent`."""
        if record["first"] != len(self.sent_ns):
            raise ValueError(f"a line tells of message {record['first']}; {len(self.sent_ns)} is next")
        self.sent_ns.extend(decode(record["sent_ns"]))
        self._arrived.extend(bytes(len(self.sent_ns) - len(self._arrived)))
        self._sort_out()

    def received(self, record: Mapping[str, Any], flow: Flow | None, size: int) -> None:
        """Take in a line `received`; what arrived in time goes to `flow` too, `size` bytes each."""
        seq, at = decode(record["seq"]), decode(record["received_ns"])
        if flow is not None:
            for at_ns in at:
                flow.add(at_ns, size)
        self._pending.append((seq, at))
        self._sort_out()

    def _sort_out(self) -> None:
        """Take in the arrivals of messages of which it is known when they were sent."""
        while self._pending and max(self._pending[0][0], default=0) < len(self.sent_ns):
            self._arrivals(*self._pending.pop(0))

    def _arrivals(self, seq: array[int], at: array[int]) -> None:
        for number, at_ns in zip(seq, at, strict=True):
            if self._arrived[number]:
                self.duplicated.add(number)
                continue
            latency_ns = at_ns - self.sent_ns[number]
            if self._timeout_ns is not None and latency_ns > self._timeout_ns:
                continue
            self._arrived[number] = 1
            self.latency.add(self.sent_ns[number], latency_ns)
            self.latencies.add(max(0, latency_ns))
            if number < self._expected:
                self.reordered.add(number)
            else:
                self._expected = number + 1

    def finish(self) -> None:
        """Sort out what was lost, when all lines are in."""
        if self._pending:
            raise ValueError("messages arrived that were never sent")
        number = self._arrived.find(0)
        while number >= 0:
            self.lost.add(number)
            self.lost_at.add(self.sent_ns[number])
            number = self._arrived.find(0, number + 1)

    def loss(self, parts: int) -> list[tuple[int, int, float]]:
        """The share that was lost in no more than so many equal parts of the sequence (the last may be shorter).

        Returns:
            Of each part the first number, the one after the last, and the share, from 0 to 1.
        """
        size = -(-len(self) // parts)
        starts = range(0, len(self), size)
        return [
            (at, min(at + size, len(self)), self._arrived[at : at + size].count(0) / min(size, len(self) - at))
            for at in starts
        ]


class Samples:
    """What was recorded of a workload.

    Attributes:
        workload: whose it is.
        flow: payload delivered over time, of streams.
        senders: by node, of TCP.
        messages: of kinds that have them.
        begun_ns: the earliest time in it.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.flow: Flow | None = Flow() if workload.kind.endswith("-stream") else None
        self.senders: dict[str, Sender] = {}
        timeout = workload.parameters.get("timeout_ns")
        self.messages = Messages(None if timeout is None else int(timeout))
        self._size = int(workload.parameters.get("size_bytes", 0))
        self.begun_ns: int | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line; what is not plotted is passed over."""
        event = record["event"]
        if event == "sent":
            self._begun(record["sent_ns"])
            self.messages.sent(record)
        elif event == "received":
            self.messages.received(record, self.flow, self._size)
        elif event == "connections":
            self._begun(record["begun_ns"])
        elif event == "tcp-info":
            self.senders.setdefault(record["node"], Sender()).add(record)
        elif event == "bytes" and self.flow is not None:
            for number, size in enumerate(decode(record["bytes"])):
                self.flow.add(record["start_ns"] + number * record["bucket_ns"], size)

    def _begun(self, column: list[int]) -> None:
        if column and (self.begun_ns is None or column[0] < self.begun_ns):
            self.begun_ns = column[0]


def read(path: Path, workload: Workload) -> Samples:
    """The samples of a workload from its file.

    Raises:
        OSError: there is none.
        ValueError, KeyError, TypeError: it is not whole.
    """
    samples = Samples(workload)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            samples.add(json.loads(line))
    samples.messages.finish()
    return samples
