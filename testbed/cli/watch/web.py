"""The live view of a lab as a page: on this machine only, at an address that can't be guessed."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING

from testbed.cli.watch import texts
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.lab import Lab, Snapshot

_LOOPBACK = "127.0.0.1"
_INTERVAL_S = 1.0
_TOKEN_BYTES = 24

_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
)
"""All that the page may load: what is in it, and its stream."""


class Serving:
    """A page about a lab, served by threads.

    Attributes:
        url: of the page, with a token that is new each time.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._view = threading.Condition()
        self._number, self._text = 0, ""
        self._failure: TestbedError | None = None
        self._ended = threading.Event()
        self._activity = texts.Activity()
        self._stream = lab.events(follow=True)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._server = _Server((_LOOPBACK, 0), _Handler)
        self._server.serving, self._server.token = self, token
        self.url = f"http://{_LOOPBACK}:{self._server.server_port}/{token}/"
        for work in (self._look, self._listen, self._server.serve_forever):
            threading.Thread(target=work, daemon=True).start()

    def wait(self) -> None:
        """Wait until the lab goes down.

        Raises:
            TestbedError: it can't be watched any more.
        """
        self._ended.wait()
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Stop serving."""
        self._end(None)
        self._stream.close()
        self._server.shutdown()
        self._server.server_close()

    def _end(self, failure: TestbedError | None) -> None:
        """End all views, and keep the first reason for that."""
        with self._view:
            if not self._ended.is_set():
                self._failure = failure
                self._ended.set()
            self._view.notify_all()

    def views(self) -> Iterator[tuple[str, str]]:
        """Yield the events of the stream, name and text: each new view, and at last why there are no more."""
        seen = 0
        while True:
            with self._view:
                self._view.wait_for(lambda: self._number > seen or self._ended.is_set())  # noqa: B023  # it waits here
                seen, text = self._number, self._text
            if self._ended.is_set():
                yield (
                    "gone",
                    self._failure.message if self._failure else "the lab has gone down, or testbed watch has ended",
                )
                return
            yield "message", text

    def _look(self) -> None:
        history = texts.History()
        before: Snapshot | None = None
        while not self._ended.is_set():
            try:
                before = self._lab.snapshot(before)
            except TestbedError as error:
                self._end(error)
                return
            rows = [*history.rows(before).values()]
            with self._view:
                self._text = json.dumps(texts.view_object(before, rows, self._activity))
                self._number += 1
                self._view.notify_all()
            self._ended.wait(_INTERVAL_S)

    def _listen(self) -> None:
        """Note events until the lab goes down. If its agent dies, `_look` finds that out."""
        with suppress(TestbedError):
            for event in self._stream:
                with self._view:
                    self._activity.note(event)
            self._end(None)


@contextmanager
def serving(lab: Lab) -> Iterator[Serving]:
    """Serve a page about a lab for the time of a context."""
    made = Serving(lab)
    try:
        yield made
    finally:
        made.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    serving: Serving
    token: str


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page, or with the stream of views."""
        if self.headers.get("Host") not in self._hosts():  # DNS rebinding: the name of another site leads here
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
        _, token, *rest = [*self.path.split("/"), ""]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        match "/".join(rest).rstrip("/"):
            case "":
                self._send_page()
            case "stream":
                self._send_views()
            case _:
                self._refuse(HTTPStatus.NOT_FOUND)

    def _hosts(self) -> tuple[str, ...]:
        return tuple(f"{name}:{self.server.server_port}" for name in (_LOOPBACK, "localhost"))

    def _head(self, content_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", _POLICY)

    def _send_page(self) -> None:
        page = files("testbed.cli.watch").joinpath("page.html").read_bytes()
        self._head("text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _send_views(self) -> None:
        """Send server-sent events (WHATWG HTML, section 9.2) until the reader has gone."""
        self._head("text/event-stream")
        self.end_headers()
        with suppress(OSError):
            for name, text in self.server.serving.views():
                lines = "".join(f"data: {line}\n" for line in text.splitlines())
                self.wfile.write(f"event: {name}\n{lines}\n".encode())

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing about requests, whose address has the token."""
