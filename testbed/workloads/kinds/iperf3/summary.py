"""The summary of iperf3, from its own results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from testbed.records import Output, Table
from testbed.workloads.errors import WorkloadError
from testbed.workloads.summarisers.base import Base
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent


_REORDERED = re.compile(r"\[SUM\].* (\d+) datagrams received out-of-order")
"""A line per stream that only the server prints; it is no sum (report_sum_outoforder of iperf_api.c)."""

_OF_DATAGRAMS = ("sent", "delivered", "lost", "loss_ratio", "reordered", "jitter_ns")


class Iperf3Summariser(Base):
    """Makes the summary of iperf3 workloads."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._document: Mapping[str, Any] | None = None
        self._reordered = 0

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""
        super().add(event)
        if isinstance(event, Table) and event.event == "iperf3":
            self._document = event.values["document"]
        elif isinstance(event, Output) and (match := _REORDERED.match(event.line)):
            self._reordered += int(match[1])

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        if self._document is None:
            raise WorkloadError("incomplete-record", f"workload {self.workload.name}: the record has no results")
        try:
            return self._summary(self._document["end"])
        except (KeyError, TypeError) as error:
            raise WorkloadError(
                "unknown-results",
                f"workload {self.workload.name}: iperf3 gave results of a form that is not known: {error!r}",
                "they are in the record, as the event iperf3, with the version",
            ) from error

    def _summary(self, end: Mapping[str, Any]) -> Summary:
        sent, received, udp = end["sum_sent"], end["sum_received"], self.workload.parameters["protocol"] == "udp"
        figures = Figures()
        figures.put("sent_bytes", sent["bytes"])
        figures.put("delivered_bytes", received["bytes"])
        figures.put("goodput_bps", received["bits_per_second"])
        if udp:
            figures.leave_out("retransmits", why="UDP sends nothing again")
            figures.leave_out("congestion", why="UDP has no congestion control")
            self._put_datagrams(figures, end)
        else:
            figures.put("retransmits", sent.get("retransmits"), unless="iperf3 does not report it")
            figures.put("congestion", end.get("sender_tcp_congestion"), unless="iperf3 does not report it")
            figures.leave_out(*_OF_DATAGRAMS, why="TCP carries no messages")
        return self.summary(figures)

    def _put_datagrams(self, figures: Figures, end: Mapping[str, Any]) -> None:
        """Set the metrics of datagrams, which the server counts."""
        totals = end["sum"]
        packets, lost = totals["packets"], totals["lost_packets"]
        figures.put("sent", packets)
        figures.put("delivered", packets - lost)
        figures.put("lost", lost)
        figures.put("loss_ratio", lost / packets if packets else None, unless="nothing was sent")
        figures.put("reordered", self._reordered)
        figures.put("jitter_ns", round(totals["jitter_ms"] * 1e6))
