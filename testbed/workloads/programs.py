"""Programs of the nodes' own that take an endpoint's place: what they write becomes the events of a record."""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Any, Protocol

from testbed.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from testbed.workloads.nodes import Nodes, Program

PROGRESS_S = 0.5
"""How often progress is told while a program says nothing."""

_UNREAD = 1000
"""Lines that wait to be read, at most; a program that writes faster waits meanwhile, so that they don't fill memory."""

_KILLED_S = 5
"""In which a program that was killed has ended, or else is left to itself."""

_LAST = 400  # characters of what a program said last, in an error


class Reader(Protocol):
    """Reads one program.

    Attributes:
        argv: the command.
        lasts_ns: how long it is expected to take, for the progress.
        timeout_ns: how long it may take.
    """

    argv: Sequence[str]
    lasts_ns: int
    timeout_ns: int

    def line(self, line: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """The events that a line of its standard output makes."""

    def end(self, status: int, stderr: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """The last events, once it has ended: an `end`, or an `error`."""


def failure(code: str, message: str, hint: str | None = None) -> Mapping[str, Any]:
    """The event of a program that did not do what it was started for."""
    return {"event": "error", "code": code, "message": message, "hint": hint}


def failed_with(argv: Sequence[str], status: int, said: str) -> Mapping[str, Any]:
    """The event of a program that ended with a status other than 0."""
    last = said.strip()[-_LAST:] or "nothing"
    return failure("command-failed", f"{argv[0]} ended with status {status}; it said: {last}")


class ReadProgram:
    """A program in a node, and what reads it; see `testbed.workloads.nodes.Process`.

    Args:
        nodes: the lab's.
        node: where the program runs.
        make_reader: makes what reads it, when it starts.
    """

    def __init__(self, nodes: Nodes, node: str, make_reader: Callable[[], Reader]) -> None:
        self._nodes = nodes
        self._node = node
        self._make_reader = make_reader
        self._heard: queue.Queue[str | int | TestbedError] = queue.Queue(_UNREAD)
        self._begun = threading.Event()
        self._cancelled = False
        self._over = threading.Event()
        self._program: Program | None = None
        self._thread: threading.Thread | None = None

    def begin(self, start_ns: int) -> None:
        """Start the program at that time, by the nodes' clock; nothing can be prepared of it before."""
        sleep(max(0, start_ns - self._nodes.now_ns()) / 1e9)
        self._reader = self._make_reader()
        try:
            self._program = self._nodes.program(self._node, self._reader.argv)
        except UsageError as error:  # a runtime may know at once that there is no such program
            self._heard.put(error)
        else:
            self._thread = threading.Thread(target=self._read, args=(self._program,), daemon=True)
            self._thread.start()
        self._started_ns = monotonic_ns()
        self._began_ns = self._nodes.now_ns()
        self._begun.set()

    def _read(self, program: Program) -> None:
        try:
            for line in program:
                self._pass_on(line)
            self._pass_on(program.wait())
        except TestbedError as error:
            self._pass_on(error)

    def _pass_on(self, heard: str | int | TestbedError) -> None:
        while not self._over.is_set():
            with suppress(queue.Full):
                self._heard.put(heard, timeout=PROGRESS_S)
                return

    def __iter__(self) -> Iterator[str]:
        """The events as an endpoint would write them."""
        try:
            yield from map(json.dumps, self._events())
        finally:
            self._over.set()

    def _events(self) -> Iterator[Mapping[str, Any]]:
        yield {"event": "ready"}
        self._begun.wait()
        if self._cancelled:
            return
        yield {"event": "started", "at_ns": self._began_ns}
        reader = self._reader
        while True:
            elapsed_ns = monotonic_ns() - self._started_ns
            if elapsed_ns > reader.timeout_ns:
                self.kill()
                message = f"{reader.argv[0]} did not end within {reader.timeout_ns / 1e9:g} s and was killed"
                yield failure("command-timeout", message, "give it more time: timeout")
                return
            try:
                heard = self._heard.get(timeout=PROGRESS_S)
            except queue.Empty:
                yield {"event": "progress", "fraction": min(elapsed_ns / reader.lasts_ns, 0.99)}
                continue
            if isinstance(heard, TestbedError):
                yield self._unusable(heard)
                return
            if isinstance(heard, int):
                assert self._program is not None  # noqa: S101 (it has ended)
                yield from reader.end(heard, self._program.stderr, monotonic_ns())
                return
            yield from reader.line(heard, monotonic_ns())

    def _unusable(self, error: TestbedError) -> Mapping[str, Any]:
        hint = "the node's image needs to have it" if isinstance(error, UsageError) else error.hint
        return failure(error.code, f"{self._reader.argv[0]}: {error.message}", hint)

    def close_stdin(self) -> None:
        """Ask it to end."""
        if self._program is not None:
            self._program.stop()

    def kill(self) -> None:
        """End it at once, or see that it does not start."""
        if self._program is not None:
            self._program.kill()
        else:
            self._cancelled = True
            self._begun.set()

    def wait(self) -> int:
        """0, when it has ended or can't be waited for: what became of it, its events say."""
        if self._thread is not None:
            self._thread.join(_KILLED_S)
        return 0
