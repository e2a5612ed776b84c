"""The shop's application: each request counts a visitor in Redis."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis  # type: ignore[import-not-found]  # Debian's, in the image

DATABASE = redis.Redis(host=os.environ["DATABASE"])


class Shop(BaseHTTPRequestHandler):
    """Answers every GET with the number of visitors."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Count, and answer."""
        body = f"visitor {DATABASE.incr('visitors')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8000), Shop).serve_forever()
