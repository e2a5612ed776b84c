"""The summary of dns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.summarisers.tcp import Tcp
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class DnsSummariser(Tcp):
    """Makes the summary of dns workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        resolver, messages = self.client, self.messages.finished()
        messages.put_counts(figures)
        messages.put_latency(figures)
        figures.put("repeated", resolver["repeated"])
        figures.put("truncated", resolver["truncated"])
        figures.put("error_answers", resolver["errors"])
        self.put_set_ups(figures)
        if self.workload.parameters["transport"] == "udp" and not figures.values["connections"]:
            figures.leave_out("setup_ns", why="UDP sets no connection up")
        return self.summary(figures)
