"""The summary of handshake."""

from operator import sub
from statistics import median_low

from testbed.plan.workloads import Workload
from testbed.records import ConnectionTimes, RecordEvent
from testbed.workloads.summarisers import Base
from testbed.workloads.summary import Figures, Summary


class Handshake(Base):
    """The summary."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._times_ns: list[int] = []

    def add(self, event: RecordEvent) -> None:
        """Take in the next event of the record."""
        super().add(event)
        if isinstance(event, ConnectionTimes):
            self._times_ns += map(sub, event.connected_ns, event.begun_ns)

    def finish(self) -> Summary:
        """The summary of all lines."""
        figures = Figures()
        figures.put("setup_ns", median_low(self._times_ns) if self._times_ns else None, unless="no connection")
        figures.put("handshakes", len(self._times_ns))
        return self.summary(figures)
