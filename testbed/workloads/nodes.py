"""What a workload needs of a lab."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Process(Protocol):
    """An endpoint that runs in a node. All but iteration and `wait` does nothing on one that has ended."""

    def __iter__(self) -> Iterator[str]:
        """The lines of its standard output, as they come, until it ends."""

    def begin(self, start_ns: int) -> None:
        """Tell a client, which has said that it is ready, when to begin, by the nodes' clock."""

    def close_stdin(self) -> None:
        """Tell it to stop; it says what it has seen, and ends."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> int:
        """Its exit status, when it has ended."""


class Program(Protocol):
    """A program of a node's own that runs there. `stop` and `kill` do nothing on one that has ended."""

    @property
    def stderr(self) -> str:
        """What it has written to its standard error; whole when it has ended."""

    def __iter__(self) -> Iterator[str]:
        """The lines of its standard output, as they come, until it ends; UsageError where there is no such program."""

    def stop(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> int:
        """Its exit status, when it has ended."""


class Nodes(Protocol):
    """A lab's nodes."""

    def now_ns(self) -> int:
        """The time of the nodes' monotonic clock; another machine's, where the nodes are on one."""

    def endpoint(self, node: str, spec: Mapping[str, Any]) -> Process:
        """Start `python -m testbed.endpoint SPEC` in the namespaces and the cgroup of a node."""

    def program(self, node: str, argv: Sequence[str]) -> Program:
        """Start a program of a node's own in it."""


class KillableNodes:
    """A lab's nodes, until they are to do no more: then what runs in them is killed, and nothing can be started."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._lock = threading.Lock()
        self._started: list[Process | Program] = []
        self._killed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def now_ns(self) -> int:
        """See `Nodes`."""
        return self._nodes.now_ns()

    def endpoint(self, node: str, spec: Mapping[str, Any]) -> Process:
        """See `Nodes`."""
        process = self._nodes.endpoint(node, spec)
        self._guard(process)
        return process

    def program(self, node: str, argv: Sequence[str]) -> Program:
        """See `Nodes`."""
        program = self._nodes.program(node, argv)
        self._guard(program)
        return program

    def _guard(self, started: Process | Program) -> None:
        with self._lock:
            self._started.append(started)
            if self._killed:
                started.kill()

    def kill(self) -> None:
        """Kill all that runs, and all that is started from now on, so that the threads that wait for it end."""
        with self._lock:
            self._killed = True
            for each in self._started:
                each.kill()
