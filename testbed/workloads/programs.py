"""Run programs of the nodes in place of endpoints, and turn their output into the events of a record."""

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

    from testbed.workloads.nodes import Nodes, ProgramProcess

PROGRESS_S = 0.5
"""The time between two reports of progress while a program writes nothing."""

_UNREAD = 1000
"""The most lines that wait to be read; a program that writes faster is blocked, so that memory does not fill up."""

_KILLED_S = 5
"""How long to wait for the end of a killed program before giving up."""

_LAST = 400  # characters of a program's last output in an error


class OutputReader(Protocol):
    """Turns the output of one program into events.

    Attributes:
        argv: the command.
        lasts_ns: how long the program is expected to run, for the progress.
        timeout_ns: how long the program may run.
    """

    argv: Sequence[str]
    lasts_ns: int
    timeout_ns: int

    def line(self, line: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """Yield the events of a line of standard output."""

    def end(self, status: int, stderr: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """Yield the last events after the program's end: an `end` or an `error`."""


def failure(code: str, message: str, hint: str | None = None) -> Mapping[str, Any]:
    """Return the event of a program that failed."""
    return {"event": "error", "code": code, "message": message, "hint": hint}


def failed_with(argv: Sequence[str], status: int, said: str) -> Mapping[str, Any]:
    """Return the event of a program that ended with a status other than 0."""
    last = said.strip()[-_LAST:] or "nothing"
    return failure("command-failed", f"{argv[0]} ended with status {status}; it said: {last}")


class ReadProgram:
    """A program in a node and its reader, which together act as a `testbed.workloads.nodes.EndpointProcess`.

    Args:
        nodes: the nodes of the lab.
        node: the node in which the program runs.
        make_reader: called at the start of the program; returns its reader.
    """

    def __init__(self, nodes: Nodes, node: str, make_reader: Callable[[], OutputReader]) -> None:
        self._nodes = nodes
        self._node = node
        self._make_reader = make_reader
        self._output: queue.Queue[str | int | TestbedError] = queue.Queue(_UNREAD)
        self._begun = threading.Event()
        self._cancelled = False
        self._closed = threading.Event()
        self._program: ProgramProcess | None = None
        self._thread: threading.Thread | None = None

    def begin(self, start_ns: int) -> None:
        """Start the program at that time, by the nodes' clock; a program can't prepare itself."""
        sleep(max(0, start_ns - self._nodes.now_ns()) / 1e9)
        self._reader = self._make_reader()
        try:
            self._program = self._nodes.program(self._node, self._reader.argv)
        except UsageError as error:  # some runtimes know at once that the program does not exist
            self._output.put(error)
        else:
            self._thread = threading.Thread(target=self._read, args=(self._program,), daemon=True)
            self._thread.start()
        self._started_ns = monotonic_ns()
        self._began_ns = self._nodes.now_ns()
        self._begun.set()

    def _read(self, program: ProgramProcess) -> None:
        try:
            for line in program:
                self._enqueue(line)
            self._enqueue(program.wait())
        except TestbedError as error:
            self._enqueue(error)

    def _enqueue(self, item: str | int | TestbedError) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._output.put(item, timeout=PROGRESS_S)
                return

    def __iter__(self) -> Iterator[str]:
        """Yield the events as the lines of an endpoint."""
        try:
            yield from map(json.dumps, self._events())
        finally:
            self._closed.set()

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
                item = self._output.get(timeout=PROGRESS_S)
            except queue.Empty:
                yield {"event": "progress", "fraction": min(elapsed_ns / reader.lasts_ns, 0.99)}
                continue
            if isinstance(item, TestbedError):
                yield self._unusable(item)
                return
            if isinstance(item, int):
                assert self._program is not None  # noqa: S101 (it has ended)
                yield from reader.end(item, self._program.stderr, monotonic_ns())
                return
            yield from reader.line(item, monotonic_ns())

    def _unusable(self, error: TestbedError) -> Mapping[str, Any]:
        hint = "the node's image needs to have it" if isinstance(error, UsageError) else error.hint
        return failure(error.code, f"{self._reader.argv[0]}: {error.message}", hint)

    def close_stdin(self) -> None:
        """Ask it to end."""
        if self._program is not None:
            self._program.stop()

    def kill(self) -> None:
        """Kill the program, or prevent its start."""
        if self._program is not None:
            self._program.kill()
        else:
            self._cancelled = True
            self._begun.set()

    def wait(self) -> int:
        """Wait for the end of the program, but not for long, and return 0; its events contain the outcome."""
        if self._thread is not None:
            self._thread.join(_KILLED_S)
        return 0
