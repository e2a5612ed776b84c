"""What a workload needs of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Process(Protocol):
    """An endpoint that runs in a node. `close_stdin` and `kill` do nothing on one that has ended."""

    def __iter__(self) -> Iterator[str]:
        """The lines of its standard output, as they come, until it ends."""

    def close_stdin(self) -> None:
        """Tell it to stop; it says what it has seen, and ends."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> int:
        """Its exit status, when it has ended."""


class Nodes(Protocol):
    """A lab's nodes."""

    def endpoint(self, node: str, spec: Mapping[str, Any]) -> Process:
        """Start `python -m testbed.endpoint SPEC` in the namespaces and the cgroup of a node."""
