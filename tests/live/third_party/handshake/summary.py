"""The summary of handshake."""

from collections.abc import Mapping
from statistics import median_low
from typing import Any

from testbed.endpoint.columns import decode
from testbed.plan.model import Workload
from testbed.workloads.summarisers import Base
from testbed.workloads.summary import Figures, Summary


class Handshake(Base):
    """The summary."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._times_ns: list[int] = []

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next line of the record."""
        super().add(record)
        if record["event"] == "connections":
            columns = decode(record["begun_ns"]), decode(record["connected_ns"])
            self._times_ns += [connected - begun for begun, connected in zip(*columns, strict=True)]

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        figures.put("setup_ns", median_low(self._times_ns) if self._times_ns else None, unless="no connection")
        figures.put("handshakes", len(self._times_ns))
        return self.summary(figures)
