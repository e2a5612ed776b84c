"""The client: python3 -m orders.client HOST COUNT places orders, a tenth of a second apart."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
import uuid

from orders.server import PORT

ATTEMPTS = 20


class Client:
    """Places orders over one connection, and over a new one after each failure."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 1.0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = None

    def order(self, item: str) -> int:
        """Place an order, and return how many the server has. Try again until it has answered."""
        for _ in range(ATTEMPTS):
            key = uuid.uuid4().hex[:8]
            with contextlib.suppress(OSError):
                return int(self._ask(f"{key} {item}"))
            self.close()
            time.sleep(0.1)
        raise TimeoutError(f"no answer to {item} in {ATTEMPTS} attempts")

    def total(self) -> int:
        """Return how many orders the server has."""
        return int(self._ask("TOTAL"))

    def _ask(self, request: str) -> str:
        if self._connection is None:
            self._connection = socket.create_connection(self._address, self._timeout_s)
        self._connection.sendall(f"{request}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            received = self._connection.recv(100)
            if not received:
                raise ConnectionError("the server has closed the connection")
            answer += received
        return answer.decode()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


if __name__ == "__main__":
    client = Client((sys.argv[1], PORT))
    for number in range(1, int(sys.argv[2]) + 1):
        client.order(f"order-{number}")
        time.sleep(0.1)
    print(client.total())
