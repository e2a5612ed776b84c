"""The server: python3 -m orders.server. It accepts orders over TCP, and counts each key once.

A request is a line `KEY ITEM`; its answer is a line with the number of orders. The request `TOTAL` only asks for that.
"""

from __future__ import annotations

import socketserver

PORT = 7000


class Server(socketserver.ThreadingTCPServer):
    """Listens for clients, and remembers the keys of the orders it has accepted."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Connection)
        self.orders: dict[str, str] = {}


class Connection(socketserver.StreamRequestHandler):
    """Answers one client."""

    server: Server

    def handle(self) -> None:
        """Answer the requests of a connection, one after the other."""
        for line in self.rfile:
            key, _, item = line.decode().strip().partition(" ")
            if item and key not in self.server.orders:
                self.server.orders[key] = item
                print(f"accepted {item}, key {key}", flush=True)
            self.wfile.write(f"{len(self.server.orders)}\n".encode())


if __name__ == "__main__":
    with Server(("", PORT)) as server:
        print("ready", flush=True)
        server.serve_forever()
