"""The base class of all summarisers, and their protocol."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from testbed.records import End
from testbed.workloads import metrics
from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent
    from testbed.workloads.summary import Figures, Summary


_SECOND = 1_000_000_000


class Summariser(Protocol):
    """Makes the summary of one workload, event by event."""

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""

    def finish(self) -> Summary:
        """Return the summary of all events.

        Raises:
            RecordError, WorkloadError: lines are missing.
        """


def interval_ns(workload: Workload) -> Fraction | None:
    """Return the time from one message of a workload to the next; None if it does not send at set times."""
    parameters = workload.parameters
    if "interval_ns" in parameters:
        return Fraction(workload.number("interval_ns"))
    if {"rate_bps", "size_bytes"} <= parameters.keys():
        return Fraction(8 * workload.number("size_bytes") * _SECOND, workload.number("rate_bps"))
    return None


class Base:
    """Collects the totals in the endpoints' last lines, and the messages."""

    def __init__(self, workload: Workload, *, timeout_ns: int | None = None) -> None:
        self.workload = workload
        self.messages = Messages(timeout_ns)
        self._ends: dict[str, Mapping[str, Any]] = {}

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""
        self.messages.add(event)
        if isinstance(event, End):
            self._ends[event.node] = event.totals

    def end(self, node: str) -> Mapping[str, Any]:
        """Return the totals of the endpoint in a node.

        Raises:
            WorkloadError: the record has no totals of that endpoint.
        """
        if node not in self._ends:
            raise WorkloadError(
                "incomplete-record", f"workload {self.workload.name}: the record of the endpoint in {node} has no end"
            )
        return self._ends[node]

    @property
    def client(self) -> Mapping[str, Any]:
        """The totals of the endpoint in the source."""
        return self.end(self.workload.source)

    @property
    def server(self) -> Mapping[str, Any]:
        """The totals of the endpoint in the destination."""
        return self.end(self.workload.destination)

    def put_lateness(self, figures: Figures, *, start_ns: int) -> None:
        """Set how late messages were sent; the first was due at the start, the others at the workload's interval."""
        interval = interval_ns(self.workload)
        assert interval is not None  # noqa: S101 (only kinds with a schedule call this)
        late_ns = metrics.pacing_late_ns(self.messages.ledger.sent_ns, start_ns=start_ns, interval_ns=interval)
        figures.put("pacing_late_p99_ns", late_ns, unless="nothing was sent")

    def summary(self, figures: Figures) -> Summary:
        """Return the summary of these values."""
        return figures.summary(self.workload.name, self.workload.kind)
