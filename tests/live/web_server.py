"""A web server for nodes of network namespaces: HTTP/1.1 and h2c on port 80; with TLS HTTP/1.1 and HTTP/2 on port 443.

It listens on IPv4 and IPv6. The answer has 1000 bytes. Its status is 400 where a request has a header `x-sha256` that
is not its body's.

Run as a program with the testbed's Python; it needs no file and no right but to bind the ports.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys

import h11
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from testbed.endpoint.tls import contexts_of

CONTENT = bytes(1000)
PREFACE = b"PRI * HTTP/2.0\r\n"


def status_of(headers, body):
    """The status of the response to a request."""
    expected = dict(headers).get(b"x-sha256")
    return 200 if expected in (None, hashlib.sha256(body).hexdigest().encode()) else 400


async def serve(reader, writer):
    """Serve one connection, whichever version its first bytes are."""
    try:
        first = await reader.read(1 << 16)
        await (serve2 if first.startswith(PREFACE) else serve1)(reader, writer, first)
    except (ConnectionError, h11.RemoteProtocolError):
        pass
    finally:
        writer.close()


async def serve1(reader, writer, data):
    """Serve HTTP/1.1."""
    protocol, body = h11.Connection(h11.SERVER), b""
    request = h11.Request(method="GET", target="/", headers=[("Host", "none")])
    protocol.receive_data(data)
    while data:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(1 << 16)
            protocol.receive_data(data)
        elif isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            status, length = status_of(request.headers, body), ("Content-Length", str(len(CONTENT)))
            head = h11.Response(status_code=status, headers=[length, ("Server", "test")])
            parts = head, h11.Data(data=CONTENT), h11.EndOfMessage()
            writer.write(b"".join(protocol.send(part) for part in parts))
            if protocol.our_state is not h11.DONE:
                return
            protocol.start_next_cycle()
        else:
            return


async def serve2(reader, writer, data):
    """Serve HTTP/2."""
    protocol, requests = H2Connection(H2Configuration(client_side=False, header_encoding=None)), {}
    protocol.initiate_connection()
    while data:
        for event in protocol.receive_data(data):
            if isinstance(event, RequestReceived):
                requests[event.stream_id] = dict(event.headers), bytearray()
            elif isinstance(event, DataReceived):
                requests[event.stream_id][1].extend(event.data)
                protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                headers, body = requests.pop(event.stream_id)
                status = str(status_of(headers, bytes(body)))
                protocol.send_headers(event.stream_id, [(":status", status), ("server", "test")])
                protocol.send_data(event.stream_id, CONTENT, end_stream=True)
        writer.write(protocol.data_to_send())
        data = await reader.read(1 << 16)


async def main():
    """Serve until killed."""
    context = contexts_of(1).server
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = await asyncio.start_server(serve, None, 80)
    secure = await asyncio.start_server(serve, None, 443, ssl=context, ssl_handshake_timeout=3600)
    sys.stdout.write("listening\n")
    await asyncio.gather(plain.serve_forever(), secure.serve_forever())


if __name__ == "__main__":
    asyncio.run(main())
