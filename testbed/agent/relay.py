"""`python -m testbed.agent.relay PATH`: standard input and output become a connection to the agent at PATH.

This is how an agent in a container is reached, through `docker exec`, wherever the Docker Engine is.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

_CHUNK = 1 << 16
_STUCK_SECONDS = 60
"""After which an agent that takes in nothing counts as gone; else a relay would stay for every client that has left."""


def relay(path: str) -> None:
    """Copy both ways until either side ends."""
    with socket.socket(socket.AF_UNIX) as agent, selectors.DefaultSelector() as selector:
        agent.settimeout(_STUCK_SECONDS)
        agent.connect(path)
        selector.register(0, selectors.EVENT_READ)
        selector.register(agent, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    data = os.read(0, _CHUNK)
                    agent.sendall(data)
                else:
                    data = agent.recv(_CHUNK)
                    _write(data)
                if not data:
                    return


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    relay(sys.argv[1])
