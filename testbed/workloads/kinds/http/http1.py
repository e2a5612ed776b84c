"""HTTP/1.1 (RFC 9112): one request at a time on a connection."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import h11

from testbed.endpoint.errors import EndpointError
from testbed.workloads.kinds.http.exchange import BodyCounter, Request, Response, Unanswered

if TYPE_CHECKING:
    from testbed.workloads.kinds.http.connections import HttpConnection, HttpConnections


class Http1:
    """See `testbed.workloads.kinds.http.exchange.Session`."""

    def __init__(
        self, connections: HttpConnections, connection: HttpConnection, request: Request, flow: BodyCounter
    ) -> None:
        self._connections = connections
        self._connection = connection
        self._flow = flow
        self._protocol = h11.Connection(our_role=h11.CLIENT)
        self._answered = False
        self._asked = request
        self._request = h11.Request(
            method=request.method, target=request.path, headers=[("host", request.authority), *request.headers]
        )

    @property
    def usable(self) -> bool:
        """Whether neither end has announced that it closes."""
        return self._protocol.our_state is h11.IDLE and not self._connection.reader.at_eof()

    async def fetch(self) -> Response:
        """See `testbed.workloads.kinds.http.exchange.Session`."""
        response = Response(flow=self._flow)
        try:
            await self._exchange(response)
        except EndpointError as error:
            if (
                self._answered
                and self._asked.is_idempotent
                and not response.first_byte_ns
                and error.code in ("connection-reset", "connection-closed")
            ):
                raise Unanswered(error) from error
            raise
        self._answered = True
        return response

    async def _exchange(self, response: Response) -> None:
        parts = self._request, h11.Data(data=self._asked.body), h11.EndOfMessage()
        await self._connection.write(b"".join(self._protocol.send(part) or b"" for part in parts))
        self._flow.sent_bytes += len(self._asked.body)
        try:
            while not self._take(self._protocol.next_event(), response):
                data = await self._connection.read()
                response.received_ns = monotonic_ns()
                if data:
                    response.first_byte_ns = response.first_byte_ns or response.received_ns
                elif not response.first_byte_ns:
                    raise EndpointError("connection-closed", "the server closed before it answered")
                self._protocol.receive_data(data)
        except h11.RemoteProtocolError as error:
            if self._connection.reader.at_eof():
                raise EndpointError("connection-closed", "the server closed before a response's end") from error
            raise EndpointError("protocol-error", f"what the server said is not HTTP/1.1: {error}") from error
        response.check()

    def _take(self, event: object, response: Response) -> bool:
        """Process the available events, and return whether the response is complete."""
        while event is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                response.begin(event.status_code, event.headers)
            elif isinstance(event, h11.Data):
                response.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
                    self._protocol.start_next_cycle()
                return True
            event = self._protocol.next_event()
        return False

    def close(self) -> None:
        """See `testbed.workloads.kinds.http.exchange.Session`."""
        self._connections.close(self._connection)
