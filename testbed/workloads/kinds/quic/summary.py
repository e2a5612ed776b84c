"""The summary of quic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workloads.kinds.tcp_messages.summary import TcpMessagesSummariser
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from testbed.workloads.summary import Summary


class QuicSummariser(TcpMessagesSummariser):
    """Makes the summary of quic workloads; QUIC's handshake includes TLS."""

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        self.put_messages(figures)
        figures.put("reordered", self.messages.ledger.reordered)
        return self.summary(figures)
