"""A lab of two nodes that are both this machine: real endpoints, over loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from testbed.errors import UsageError
from testbed.plan.workloads import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from testbed.endpoint.spec import Spec


class Local:
    """An endpoint that runs here."""

    def __init__(self, program: list[str]) -> None:
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __iter__(self) -> Iterator[str]:
        assert self.process.stdout is not None
        return iter(self.process.stdout)

    def begin(self, start_ns: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"start_ns": start_ns}) + "\n")
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> int:
        return self.process.wait()


class Here:
    """Nodes that are all here. `programs` replaces the endpoint of a node; `detour` is where its client connects."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: dict[str, Local] = {}
        self.everything: list[Local] = []
        self.programs: dict[str, str] = {}
        self.detour: int | None = None

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def endpoint(self, node: str, spec: Spec) -> Local:
        if self.detour is not None and spec.role == "client":
            spec = replace(spec, port=self.detour)
        program = ["-c", self.programs[node]] if node in self.programs else ["-m", "testbed.endpoint"]
        return self._noted(node, Local([sys.executable, *program, spec.to_json()]))

    def program(self, node: str, argv: Sequence[str]) -> LocalProgram:
        try:
            program = LocalProgram(list(argv), self.directory / f"{node}-stderr")
        except FileNotFoundError as error:
            raise UsageError("command-not-found", f"no such file or directory: {error.filename}") from None
        self._noted(node, program)
        return program

    def _noted(self, node: str, local: Local) -> Local:
        self.started[node] = local
        self.everything.append(local)
        return local


class LocalProgram(Local):
    """A program of a node's own, which runs here."""

    def __init__(self, argv: list[str], errors: Path) -> None:
        self._errors = errors
        with errors.open("w") as stderr:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
            )

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    def __iter__(self) -> Iterator[str]:
        return (line.rstrip("\n") for line in super().__iter__())

    def stop(self) -> None:
        self.process.terminate()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    nodes = Here(tmp_path)
    yield nodes
    left = [local.process.args for local in nodes.everything if local.process.poll() is None]
    for local in nodes.everything:
        local.process.kill()
        for stream in (local.process.stdin, local.process.stdout):
            if stream is not None:
                stream.close()
    assert not left, "run left these behind"


@pytest.fixture
def workload() -> Callable[..., Workload]:
    def make(kind: str, **parameters: str | int) -> Workload:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return Workload(
            name="download",
            kind=kind,
            source="client",
            destination="server",
            address="127.0.0.1",
            port=port,
            seed=7,
            parameters=parameters,
        )

    return make
