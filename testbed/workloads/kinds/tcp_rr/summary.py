"""The summary of tcp-rr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.summarisers.tcp import Tcp
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class TcpRrSummariser(Tcp):
    """Makes the summary of tcp-rr workloads."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        figures.put("retransmits", self.client["retransmits"] + self.server["retransmits"])
        messages = self.messages.finished()
        messages.put_counts(figures)
        messages.put_latency(figures)
        self.put_connections(figures)
        self.put_tls(figures)
        self.put_state(figures)
        return self.summary(figures)
