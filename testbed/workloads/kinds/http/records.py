"""Record the outcomes of requests."""

from __future__ import annotations

from array import array
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint.columns import encode
from testbed.endpoint.owner import ROWS
from testbed.workloads.kinds.http.exchange import BodyCounter

if TYPE_CHECKING:
    from testbed.endpoint.errors import EndpointError
    from testbed.endpoint.owner import Owner
    from testbed.workloads.kinds.http.exchange import Response

_SUCCESS = range(200, 300)


class Records:
    """The requests and their outcomes; requests are numbered in the order of their beginning.

    Attributes:
        flow: counts the bytes of bodies.
        answered: the number of complete responses of any status.
        server: the latest `Server` header.
    """

    def __init__(self) -> None:
        self.flow = BodyCounter()
        self.answered = 0
        self.server: str | None = None
        self._sent_ns = array("q")
        self._responses: dict[int, Response] = {}
        self._failed: dict[str, tuple[str, array[int]]] = {}

    def begin(self) -> int:
        """Record that a request begins now, and return its number."""
        self._sent_ns.append(monotonic_ns())
        return len(self._sent_ns) - 1

    def answer(self, number: int, response: Response) -> None:
        """Record the complete response to a request."""
        self.answered += 1
        self.server = response.server or self.server
        self._responses[number] = response

    def fail(self, number: int, error: EndpointError) -> None:
        """Record that a request failed."""
        self._failed.setdefault(error.code, (error.message, array("q")))[1].append(number)

    def write(self, owner: Owner) -> None:
        """Write all records."""
        responses = sorted(self._responses.items())
        delivered = [(number, response) for number, response in responses if response.status in _SUCCESS]
        owner.emit_sent(self._sent_ns)
        owner.emit_columns(
            "received",
            {
                "seq": [number for number, _ in delivered],
                "received_ns": [response.received_ns for _, response in delivered],
            },
        )
        columns = {
            name: [getattr(response, name) for _, response in responses]
            for name in ("status", "first_byte_ns", "received_ns")
        }
        sizes = [response.size for _, response in responses]
        owner.emit_columns("responses", {"seq": [number for number, _ in responses], **columns, "bytes": sizes})
        for code, (message, numbers) in self._failed.items():
            owner.emit_columns("failed", {"seq": sorted(numbers)}, code=code, message=message)
        for first in range(0, len(self.flow.buckets), ROWS):
            start_ns = self.flow.start_ns + first * self.flow.BUCKET_NS
            sizes = encode(self.flow.buckets[first : first + ROWS])
            owner.emit("bytes", start_ns=start_ns, bucket_ns=self.flow.BUCKET_NS, bytes=sizes)
