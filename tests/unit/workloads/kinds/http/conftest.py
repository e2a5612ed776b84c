"""Small web servers on loopback: the standard library's for HTTP/1.1, and one of h2's that can misbehave for HTTP/2."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from testbed.endpoint.columns import decode
from testbed.endpoint.tls import contexts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = bytes(range(256)) * 400
PARAMETERS = {
    "host": "web",
    "path": "/ok",
    "version": "1.1",
    "tls": False,
    "count": 20,
    "concurrency": 1,
    "connect": "once",
}


def columns(lines, event, name):
    return [value for line in lines if line["event"] == event for value in decode(line.get(name, ()))]


class Handler(BaseHTTPRequestHandler):
    """Answers by path: `/ok`, `/digest` and `/wrong` with the digest of the body or of another, else 404."""

    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a response in as few segments as there can be

    def do_POST(self):
        self.server.requests.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def do_GET(self):
        self.server.hosts.add(self.headers["Host"])
        found = self.path in ("/ok", "/digest", "/wrong", "/close")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(BODY)))
        if self.path in ("/digest", "/wrong"):
            of = BODY if self.path == "/digest" else b""
            digest = base64.b64encode(hashlib.sha256(of).digest()).decode()
            self.send_header("Repr-Digest", f"sha-512=:AA==:, sha-256=:{digest}:")
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """A server on IPv4 and IPv6.

    Attributes: `hosts`, what requests were to; `contexts`, the TLS of each connection in turn, none if empty.
    """

    daemon_threads = True
    request_queue_size = 128
    address_family = socket.AF_INET6

    def __init__(self):
        super().__init__(("::", 0), Handler)
        self.hosts = set()
        self.contexts, self.requests = [], []

    def get_request(self):
        connection, address = super().get_request()
        if self.contexts:
            context = self.contexts.pop(0) if len(self.contexts) > 1 else self.contexts[0]
            connection = context.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, *_):
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Server2:
    """Serves HTTP/2, without TLS.

    Attributes:
        most: requests that a connection may have under way.
        last: after so many responses on a connection it says GOAWAY.
        resets: streams that it resets, of each connection, and why.
        together: it answers when so many requests are under way.
        status: of its answers.
        window: bytes of a request's body that it takes before it allows more.
        early: it answers before a body is whole, and then resets the stream.
        requests: the method and the body of each request, in the order of their ends.
        connections: how many there were.
    """

    def __init__(self):
        self.most, self.last, self.resets = 100, 10**9, {}
        self.together, self.connections = 1, 0
        self.status = "200"
        self.window, self.early, self.requests = 65535, False, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        protocol = H2Connection(H2Configuration(client_side=False))
        protocol.initiate_connection()
        ours: dict[SettingCodes | int, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self.most,
            SettingCodes.INITIAL_WINDOW_SIZE: self.window,
        }
        protocol.update_settings(ours)
        connection.sendall(protocol.data_to_send())
        answered = 0
        waiting: list[int] = []
        bodies: dict[int, tuple[bytes, bytearray]] = {}
        with connection, suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                heard = protocol.receive_data(data)
                self._take(protocol, heard, bodies)
                answerable = events.RequestReceived if self.early else events.StreamEnded
                waiting += [event.stream_id for event in heard if isinstance(event, answerable)]
                ready = len(waiting) >= self.together
                while ready and waiting and answered < self.last:
                    stream = waiting.pop(0)
                    if stream in self.resets:
                        protocol.reset_stream(stream, self.resets[stream])
                        continue
                    protocol.send_headers(stream, [(":status", self.status), ("server", "two")])
                    protocol.send_data(stream, b"12345", end_stream=True)
                    answered += 1
                    if self.early:
                        protocol.reset_stream(stream, ErrorCodes.NO_ERROR)
                if answered >= self.last:
                    protocol.close_connection(last_stream_id=2 * answered - 1)
                    connection.sendall(protocol.data_to_send())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                    return
                connection.sendall(protocol.data_to_send())

    def _take(self, protocol, heard, bodies):
        """Take in requests and their bodies."""
        for event in heard:
            if isinstance(event, events.RequestReceived):
                bodies[event.stream_id] = dict(event.headers)[b":method"], bytearray()
            elif isinstance(event, events.DataReceived):
                bodies[event.stream_id][1].extend(event.data)
                if not self.early:
                    protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, events.StreamEnded):
                method, body = bodies.pop(event.stream_id)
                self.requests.append((method, bytes(body)))

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server2() -> Iterator[Server2]:
    running = Server2()
    yield running
    running.close()


@pytest.fixture
def contexts():
    """Two servers' TLS, with different certificates."""
    return [contexts_of(1).server, contexts_of(2).server]


@pytest.fixture
def request_all(start):
    """Runs the client to its end: its exit status and lines."""

    def run(port, **parameters):
        given = {name: value for name, value in {**PARAMETERS, **parameters}.items() if value is not None}
        return start("http", "client", to_port=port, **given).end()

    return run
