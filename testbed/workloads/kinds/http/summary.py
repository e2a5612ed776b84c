"""The summary of http."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

from testbed.records import Table
from testbed.workloads import metrics
from testbed.workloads.messages import NOTHING_DELIVERED
from testbed.workloads.summarisers.tcp import Tcp
from testbed.workloads.summary import Figures, Summary

if TYPE_CHECKING:
    from testbed.plan.workloads import Workload
    from testbed.records import RecordEvent


class HttpSummariser(Tcp):
    """Makes the summary of http workloads. Requests answered with 2xx count as delivered; only their times count."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self._statuses: Counter[int] = Counter()
        self._failed = 0
        self._seq, self._first_byte_ns, self._sizes = array("q"), array("q"), array("q")

    def add(self, event: RecordEvent) -> None:
        """Add the next event of the record."""
        super().add(event)
        if not isinstance(event, Table):
            return
        if event.event == "responses":
            self._statuses.update(event.columns["status"])
            self._seq.extend(event.columns["seq"])
            self._first_byte_ns.extend(event.columns["first_byte_ns"])
            self._sizes.extend(event.columns["bytes"])
        elif event.event == "failed":
            self._failed += len(event.columns["seq"])

    def finish(self) -> Summary:
        """Return the summary of the whole record."""
        figures = Figures()
        messages = self.messages.finished()
        messages.put_counts(figures)
        messages.put_latency(figures)
        delivered = [
            (self.messages.ledger.sent_ns[number], first_ns, size)
            for number, first_ns, size in zip(self._seq, self._first_byte_ns, self._sizes, strict=True)
            if messages.ledger.is_delivered(number)
        ]
        waits = sorted(first_ns - sent_ns for sent_ns, first_ns, _ in delivered)
        for percent in (50, 90, 99):
            ttfb_ns = metrics.percentile(waits, percent) if waits else None
            figures.put(f"ttfb_p{percent}_ns", ttfb_ns, unless=NOTHING_DELIVERED)
        first_ns = min((first_ns for _, first_ns, _ in delivered), default=None)
        figures.put("first_byte_ns", first_ns and first_ns - min(self.begun_ns), unless=NOTHING_DELIVERED)
        size = sum(size for _, _, size in delivered)
        last_ns = max(messages.received_ns, default=0)
        figures.put("delivered_bytes", size)
        goodput = metrics.rate_bps(size, last_ns - min((first_ns for _, first_ns, _ in delivered), default=last_ns))
        figures.put("goodput_bps", goodput, unless="everything arrived at once" if delivered else NOTHING_DELIVERED)
        rate = len(delivered) * _SECOND / (last_ns - self.messages.ledger.sent_ns[0]) if delivered else None
        figures.put("request_rate", rate, unless=NOTHING_DELIVERED)
        self._put_outcomes(figures)
        self.put_connections(figures)
        self.put_tls(figures)
        return self.summary(figures)

    def _put_outcomes(self, figures: Figures) -> None:
        """Set the metrics of responses and of the server."""
        end = self.client
        figures.put("error_responses", sum(n for status, n in self._statuses.items() if status not in _SUCCESS))
        figures.put("failed", self._failed)
        figures.put("sent_bytes", end["sent_bytes"])
        said = ", ".join(f"{n} x {status}" for status, n in sorted(self._statuses.items()))
        figures.put("statuses", said or None, unless="there were no responses")
        figures.put("retransmits", end["retransmits"])
        figures.put("protocol", " over ".join(filter(None, (end["protocol"], end["tls"]))))
        figures.put("server", end["server"], unless="it does not say")


_SECOND = 1_000_000_000
_SUCCESS = range(200, 300)
