"""What all summarisers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from testbed.workloads.errors import WorkloadError
from testbed.workloads.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.model import Workload
    from testbed.workloads.summary import Figures, Summary


class Summariser(Protocol):
    """Makes the summary of one workload, line by line."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""

    def finish(self) -> Summary:
        """The summary of all lines.

        Raises:
            WorkloadError: lines are missing.
        """


class Base:
    """What all have: the endpoints' last lines, and the messages."""

    def __init__(self, workload: Workload, *, timeout_ns: int | None = None) -> None:
        self.workload = workload
        self.messages = Messages(timeout_ns)
        self._ends: dict[str, Mapping[str, Any]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""
        self.messages.add(record)
        if record["event"] == "end":
            self._ends[record["node"]] = record

    def end(self, node: str) -> Mapping[str, Any]:
        """The last line of the endpoint in a node.

        Raises:
            WorkloadError: there is none.
        """
        if node not in self._ends:
            raise WorkloadError(
                "incomplete-record", f"workload {self.workload.name}: the record of the endpoint in {node} has no end"
            )
        return self._ends[node]

    @property
    def initiator(self) -> Mapping[str, Any]:
        """The last line of the endpoint in the source."""
        return self.end(self.workload.source)

    @property
    def listener(self) -> Mapping[str, Any]:
        """The last line of the endpoint in the destination."""
        return self.end(self.workload.destination)

    def summary(self, figures: Figures) -> Summary:
        """The summary of these figures."""
        return figures.summary(self.workload.name, self.workload.kind)
