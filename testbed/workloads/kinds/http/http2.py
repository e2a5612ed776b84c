"""HTTP/2 (RFC 9113): concurrent requests as streams of one connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings

from testbed.endpoint.errors import EndpointError
from testbed.workloads.kinds.http.connections import other_version
from testbed.workloads.kinds.http.exchange import BodyCounter, Request, Response, Unanswered

if TYPE_CHECKING:
    from testbed.workloads.kinds.http.connections import HttpConnection, HttpConnections

_WINDOW_BYTES = 1 << 24
"""The flow-control window of a stream and of the connection: as large as a browser's, so that TCP is the limit. The
default of RFC 9113, 64 KB, would limit a stream to 64 KB per round trip."""

_STREAMS = 100
"""The most concurrent requests before the server sets SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 6.5.2)."""


class Http2:
    """See `testbed.workloads.kinds.http.exchange.Session`."""

    def __init__(
        self, connections: HttpConnections, connection: HttpConnection, request: Request, flow: BodyCounter
    ) -> None:
        self.usable = True
        self._connections = connections
        self._connection = connection
        self._flow = flow
        self._headers = [
            (":method", request.method),
            (":scheme", request.scheme),
            (":authority", request.authority),
            (":path", request.path),
            *request.headers,
        ]
        self._request = request
        self._agreed = request.scheme == "https"  # by ALPN; without TLS when the server sends its settings
        self._streams: dict[int, tuple[Response, asyncio.Future[None]]] = {}
        self._most_streams = _STREAMS
        self._room = asyncio.Condition()
        self._window_grew = asyncio.Event()
        self._protocol = _begun()
        self._reading = asyncio.create_task(self._read())

    async def fetch(self) -> Response:
        """See `testbed.workloads.kinds.http.exchange.Session`."""
        async with self._room:
            await self._room.wait_for(lambda: len(self._streams) < self._most_streams or not self.usable)
            if not self.usable:
                raise Unanswered(_closed(""))
            stream = self._protocol.get_next_available_stream_id()
            response = Response(flow=self._flow)
            whole = asyncio.get_running_loop().create_future()
            self._streams[stream] = response, whole
            self._protocol.send_headers(stream, self._headers, end_stream=not self._request.body)
            self._send()
        try:
            await self._send_body(stream, whole)
            await whole
        finally:
            async with self._room:
                del self._streams[stream]
                self._room.notify()
            if whole.done():
                whole.exception()  # prevents a warning of asyncio if sending failed before anything waited
        response.check()
        return response

    async def _send_body(self, stream: int, whole: asyncio.Future[None]) -> None:
        """Send the body as the server's windows allow (RFC 9113, 5.2), and stop when the request has ended."""
        rest = memoryview(self._request.body)
        while rest and not whole.done():
            protocol = self._protocol
            size = min(protocol.local_flow_control_window(stream), protocol.max_outbound_frame_size, len(rest))
            if size <= 0:
                self._window_grew.clear()
                grew = asyncio.create_task(self._window_grew.wait())
                await asyncio.wait((whole, grew), return_when=asyncio.FIRST_COMPLETED)
                grew.cancel()
                continue
            protocol.send_data(stream, rest[:size].tobytes(), end_stream=size == len(rest))
            rest = rest[size:]
            self._flow.sent_bytes += size
            await self._connection.write(protocol.data_to_send())
        if rest and whole.exception() is None:  # it was answered before the body was complete
            with suppress(StreamClosedError):  # by the server, which does not want the rest (RFC 9113, 8.1)
                self._protocol.reset_stream(stream, ErrorCodes.CANCEL)
            self._send()

    async def _read(self) -> None:
        """Process the data of the server until it closes the connection."""
        error: EndpointError | Unanswered = _closed("")
        try:
            while data := await self._connection.read():
                self._take_in(data)
        except (ProtocolError, ValueError) as wrong:  # ValueError: a status that is no number
            error = EndpointError("protocol-error", f"what the server said is not HTTP/2: {wrong}")
        except (EndpointError, Unanswered) as ended:
            error = ended
        if not self._agreed:
            reason = error.failure if isinstance(error, Unanswered) else error
            error = other_version(f"the server does not take HTTP/2 without TLS (h2c): {reason.message}")
        self._fail(error)
        async with self._room:
            self._room.notify_all()  # requests without a stream would otherwise not wake up

    def _take_in(self, data: bytes) -> None:
        now = monotonic_ns()
        for event in self._protocol.receive_data(data):
            if isinstance(event, events.RemoteSettingsChanged):
                self._agreed = True
                self._most_streams = self._protocol.remote_settings.max_concurrent_streams
                self._window_grew.set()
            elif isinstance(event, events.WindowUpdated):
                self._window_grew.set()
            elif isinstance(event, events.ConnectionTerminated):
                raise self._ended(event)
            elif (request := self._streams.get(getattr(event, "stream_id", 0))) and not request[1].done():
                self._take(event, *request, now)
        self._send()

    def _take(self, event: events.Event, response: Response, whole: asyncio.Future[None], now: int) -> None:
        """Process an event of one request."""
        if isinstance(event, events.ResponseReceived):
            response.first_byte_ns = now
            headers = dict(event.headers)
            response.begin(int(headers[b":status"]), headers.items())
        elif isinstance(event, events.DataReceived):
            response.add(event.data)
            self._protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            response.received_ns = now
            whole.set_result(None)
        elif isinstance(event, events.StreamReset):
            error = EndpointError("stream-reset", f"the server reset a stream: {_name(event.error_code)}")
            refused = event.error_code == ErrorCodes.REFUSED_STREAM  # not processed by the server
            whole.set_exception(Unanswered(error) if refused else error)

    def _ended(self, event: events.ConnectionTerminated) -> EndpointError | Unanswered:
        """End the open requests at a GOAWAY, and return the error of those that the server may have processed.

        Requests after the last that it names are sent again (RFC 9113, 6.8). h2 processes nothing after a GOAWAY, so
        the others get no answer; they are sent again too if they are idempotent.
        """
        closed = _closed(f" ({_name(event.error_code)})")
        for stream, (_, whole) in self._streams.items():
            if stream > (event.last_stream_id or 0) and not whole.done():
                whole.set_exception(Unanswered(closed))
        again = event.error_code == ErrorCodes.NO_ERROR and self._request.is_idempotent
        return Unanswered(closed) if again else closed

    def _fail(self, error: Exception) -> None:
        """Fail all open requests."""
        self.usable = False
        for _, whole in self._streams.values():
            if not whole.done():
                whole.set_exception(error)

    def _send(self) -> None:
        self._connection.writer.write(self._protocol.data_to_send())

    def close(self) -> None:
        """See `testbed.workloads.kinds.http.exchange.Session`."""
        if self.usable:  # otherwise reading ends by itself
            self._reading.cancel()
            self._protocol.close_connection()
            self._send()
        self._connections.close(self._connection)


def _begun() -> H2Connection:
    """Return a new protocol state; the preface and the settings are sent together with the first request."""
    protocol = H2Connection(H2Configuration(client_side=True))
    ours = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES}
    protocol.local_settings = Settings(client=True, initial_values=ours)
    protocol.initiate_connection()
    protocol.increment_flow_control_window(_WINDOW_BYTES)
    return protocol


def _closed(why: str) -> EndpointError:
    return EndpointError("connection-closed", f"the server ended the connection before a response's end{why}")


def _name(code: object) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"error {code}"
