"""The summary of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.model import Workload


class Command(Base):
    """command."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._samples = self._lines = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""
        super().add(record)
        self._samples += record["event"] == "sample"
        self._lines += record["event"] == "output"

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        figures.put("duration_ns", self.initiator["duration_ns"])
        figures.put("samples", self._samples)
        figures.put("lines", self._lines)
        return self.summary(figures)
