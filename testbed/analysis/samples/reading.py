"""Read the raw samples of a workload line by line into the data that reports plot.

The lines decide what is plotted, not the kind of the workload: a new kind gets its plots by recording lines of these
events. Columns are encoded as in `testbed.endpoint.columns`, and times are of CLOCK_MONOTONIC:

| event | columns | gives |
|---|---|---|
| `sent` | `sent_ns`; `first`, the number of the first message in it | when messages were sent |
| `received` | `seq`, `received_ns` | latency, loss, reordering; from another node than `sent`: one way, and goodput |
| `bytes` | `bytes` per `bucket_ns` from `start_ns` on | goodput |
| `connections` | `begun_ns` | when the workload began |
| `tcp-info` | `at_ns` and fields of struct tcp_info | round-trip time, window, retransmissions |
| any other | `at_ns` and whatever else | each column over time; the end of its name tells the unit |
| any other | one time, `at_ns`, and an object `data` | each number in it over time, in the same way |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import records
from testbed.analysis.samples.bins import LIMIT
from testbed.analysis.samples.messages import BinnedMessages, BinnedPayload
from testbed.analysis.samples.series import Series
from testbed.metrics import METRICS
from testbed.records import Bytes, ConnectionTimes, Received, RecordError, Sample, Sent, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent
    from testbed.runs.run import Run

TCP_INFO = "tcp-info"
SAMPLE = "sample"

_MOST_BINS, _LEAST_BINS = 30_000, 40
"""Of each quantity: of all workloads of a run together, which share a page and the memory, and of one of them."""


class Samples:
    """The samples recorded of a workload.

    Attributes:
        workload: the workload.
        flow: payload delivered over time; None if it was not recorded.
        messages: empty if the workload has no messages.
        series: columns over time, by event and node.
        begun_ns, ended_ns: the earliest and the latest time; None if there are no times.
    """

    def __init__(self, workload: Workload, limit: int = LIMIT) -> None:
        self.workload = workload
        self._limit = limit
        answers_may_be_late = workload.kind in METRICS["late"].kinds
        self.messages = BinnedMessages(_number(workload, "timeout_ns") if answers_may_be_late else None, limit)
        self.series: dict[tuple[str, str], Series] = {}
        self.begun_ns: int | None = None
        self.ended_ns: int | None = None
        self._size = _number(workload, "size_bytes") or 0
        self._stream, self._arrivals = BinnedPayload(limit), BinnedPayload(limit)

    @property
    def flow(self) -> BinnedPayload | None:
        """See the class."""
        if self._stream.delivered:
            return self._stream
        return self._arrivals if self.messages.one_way and self._size and self._arrivals.delivered else None

    @property
    def senders(self) -> list[Series]:
        """The state of TCP connections, a series for each node that recorded it."""
        return [series for (event, _), series in self.series.items() if event == TCP_INFO]

    def add(self, event: RecordEvent) -> None:
        """Add the next event; events that are not plotted are ignored.

        Raises:
            RecordError: lines are missing.
            ValueError: columns differ in length.
        """
        match event:
            case Sent():
                self._spanned(event.sent_ns)
                self.messages.add(event, self._arrivals, self._size)
            case Received():
                self._spanned(event.received_ns)
                self.messages.add(event, self._arrivals, self._size)
            case ConnectionTimes():
                self._spanned(event.begun_ns)
            case Bytes():
                self._bytes(event.start_ns, event.bucket_ns, event.bytes)
            case Sample():
                self._spanned([event.at_ns])
                self._series(SAMPLE, event.node).add_sample(event.at_ns, event.data)
            case Table(columns={"at_ns": at}):
                self._spanned(at)
                self._series(event.event, event.node).add(event)
            case Table(values={"at_ns": int(at_ns), "data": dict(data)}):
                self._spanned([at_ns])
                self._series(event.event, event.node).add_sample(at_ns, data)

    def _series(self, event: str, node: str) -> Series:
        return self.series.setdefault((event, node), Series(event, node, self._limit))

    def _bytes(self, start_ns: int, bucket_ns: int, sizes: Sequence[int]) -> None:
        self._spanned([start_ns, start_ns + bucket_ns * len(sizes)])
        self._stream.extend([start_ns + number * bucket_ns for number in range(len(sizes))], sizes)

    def _spanned(self, times_ns: Sequence[int]) -> None:
        """Extend the time span by the first and the last time of a column."""
        if times_ns:
            first, last = times_ns[0], times_ns[-1]
            self.begun_ns = first if self.begun_ns is None else min(self.begun_ns, first)
            self.ended_ns = last if self.ended_ns is None else max(self.ended_ns, last)


def _number(workload: Workload, name: str) -> int | None:
    value = workload.parameters.get(name)
    return value if isinstance(value, int) else None


def read(path: Path, workload: Workload, limit: int = LIMIT) -> Samples:
    """Read the samples of a workload from its file, into so many bins at most.

    Raises:
        OSError: the file can't be read.
        RecordError, ValueError: the file is incomplete or damaged.
    """
    samples = Samples(workload, limit)
    for event in records.read(path):
        samples.add(event)
    samples.messages.finish()
    return samples


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSamples:
    """The samples of a run.

    Attributes:
        samples: by workload, for those that have samples.
        problems: by workload, why its samples can't be read.
    """

    samples: Mapping[str, Samples]
    problems: Mapping[str, str]


def read_all(run: Run) -> RecordedSamples:
    """Read the samples of a run's workloads; unreadable files are recorded as problems."""
    samples, problems = {}, {}
    limit = min(LIMIT, max(_LEAST_BINS, _MOST_BINS // max(1, len(run.plan.workloads))))
    for workload in run.plan.workloads:
        try:
            samples[workload.name] = read(run.path / "samples" / f"{workload.name}.jsonl", workload, limit)
        except FileNotFoundError:
            continue
        except (OSError, RecordError, ValueError) as error:
            problems[workload.name] = str(error) or type(error).__name__
    return RecordedSamples(samples=samples, problems=problems)
