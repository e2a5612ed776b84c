"""Endpoints as real processes on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., "Endpoint"]

GRACE_S = 60


class Endpoint:
    """One endpoint process, and its lines."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "testbed.endpoint", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.unread: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Have a client begin as soon as it is ready; one that fails before has said why."""
        assert self.process.stdin is not None
        first = self.line()
        if first["event"] == "ready":
            self.process.stdin.write(json.dumps({"start_ns": monotonic_ns()}) + "\n")
            self.process.stdin.flush()
        else:
            self.unread.append(first)

    def line(self) -> dict[str, Any]:
        if self.unread:
            return self.unread.pop()
        assert self.process.stdout is not None
        fields: dict[str, Any] = json.loads(self.process.stdout.readline())
        return self.line() if fields["event"] == "started" else fields

    def get_under_way(self) -> None:
        """Read lines until one tells of progress that has been made."""
        while not self.line().get("fraction"):
            pass

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for its end without stopping it: its exit status and the lines that are left, but for `started`."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        lines = [*self.unread, *map(json.loads, self.process.stdout)]
        assert self.process.stderr.read() == ""
        return self.process.wait(GRACE_S), [line for line in lines if line["event"] != "started"]

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def start_raw() -> Iterator[Callable[..., Endpoint]]:
    started: list[Endpoint] = []

    def start(*arguments: str) -> Endpoint:
        started.append(Endpoint(*arguments))
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.discard()


@pytest.fixture
def start(start_raw: Callable[..., Endpoint], port: int) -> Start:
    def started(
        kind: str, role: str, *, to_port: int = port, address: str = "127.0.0.1", **parameters: Any
    ) -> Endpoint:
        spec = {
            "kind": kind,
            "role": role,
            "address": address,
            "port": to_port,
            "seed": 7,
            "round_trip_ns": 0,
            "parameters": parameters,
        }
        endpoint = start_raw(json.dumps(spec))
        if role == "client":
            endpoint.begin()
        return endpoint

    return started
