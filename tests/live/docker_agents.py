"""The ways in which a lab of containers has its agent."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
"""Of the engine that the tests use, a local one."""


def forward(source, target):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def engine_behind_tcp():
    """The address of a listener that forwards to the local Docker Engine."""
    open_sockets: list[socket.socket] = []

    def serve(listener):
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(SOCKET)
                open_sockets.extend((near, far))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=serve, args=(listener,), daemon=True)
        acceptor.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
    for each in open_sockets:
        each.close()


@contextmanager
def agent_as(kind):
    """A DOCKER_HOST with which the agent is a process or a container."""
    with engine_behind_tcp() as address, pytest.MonkeyPatch.context() as patch:
        if kind == "container":
            patch.setenv("DOCKER_HOST", address)
        yield
