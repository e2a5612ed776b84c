"""The interface of a lab's nodes to workloads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.endpoint.spec import Spec


class EndpointProcess(Protocol):
    """An endpoint that runs in a node. After its end, all methods except iteration and `wait` do nothing."""

    def __iter__(self) -> Iterator[str]:
        """Yield the lines of its standard output as they arrive, until it ends."""

    def begin(self, start_ns: int) -> None:
        """Send a client that is ready its start time, by the nodes' clock."""

    def close_stdin(self) -> None:
        """Stop it: it reports its results and ends."""

    def kill(self) -> None:
        """Kill it."""

    def wait(self) -> int:
        """Wait for its end and return its exit status."""


class ProgramProcess(Protocol):
    """A program that runs in a node. After its end, `stop` and `kill` do nothing."""

    @property
    def stderr(self) -> str:
        """The text that it has written to standard error so far."""

    def __iter__(self) -> Iterator[str]:
        """Yield the lines of its standard output until it ends; raise UsageError if the program does not exist."""

    def stop(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """Kill it."""

    def wait(self) -> int:
        """Wait for its end and return its exit status."""


class Nodes(Protocol):
    """A lab's nodes."""

    def now_ns(self) -> int:
        """Return the time of the monotonic clock of the machine that the nodes are on."""

    def endpoint(self, node: str, spec: Spec) -> EndpointProcess:
        """Start `python -m testbed.endpoint SPEC` in the namespaces and the cgroup of a node."""

    def program(self, node: str, argv: Sequence[str]) -> ProgramProcess:
        """Start a program of a node in it."""


class KillableNodes:
    """A lab's nodes whose processes can all be killed at once; those started later are killed at once."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._lock = threading.Lock()
        self._started: list[EndpointProcess | ProgramProcess] = []
        self._killed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def now_ns(self) -> int:
        """See `Nodes`."""
        return self._nodes.now_ns()

    def endpoint(self, node: str, spec: Spec) -> EndpointProcess:
        """See `Nodes`."""
        process = self._nodes.endpoint(node, spec)
        self._guard(process)
        return process

    def program(self, node: str, argv: Sequence[str]) -> ProgramProcess:
        """See `Nodes`."""
        program = self._nodes.program(node, argv)
        self._guard(program)
        return program

    def _guard(self, started: EndpointProcess | ProgramProcess) -> None:
        with self._lock:
            self._started.append(started)
            if self._killed:
                started.kill()

    def kill(self) -> None:
        """Kill all processes, and those started later at once, so that the threads that wait for them end."""
        with self._lock:
            self._killed = True
            for process in self._started:
                process.kill()
