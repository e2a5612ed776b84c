"""A process that the agent started in a node, as its client sees it: output, signals, end."""

from __future__ import annotations

import threading
from contextlib import suppress
from signal import SIGKILL
from typing import TYPE_CHECKING, Self

from testbed.agent.messages import Call, Exit, ProcessEvent, Tell
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.agent.client_connection import ClientConnection

_END_SECONDS = 5
"""In which a process that was killed has ended."""


class RemoteProcess:
    """A process that the agent started in a node. Used as a context, it is killed when that is left.

    Iterate over it for the lines that it writes to its standard output; they end when the process has ended.

    Attributes:
        ahead_ns: how far the monotonic clock of its machine is ahead of the nodes' clock.
        translated: returns a line of its output with times by the nodes' clock; None where that is the machine's.
    """

    ahead_ns = 0
    translated: Callable[[str], str] | None = None

    def __init__(self, connection: ClientConnection, call: Call[Exit]) -> None:
        self._connection = connection
        self._events = connection.events(call, ProcessEvent)
        self._status: int | None = None
        self._ended = threading.Event()
        self.stderr = ""
        self.pid = next(self._events).pid

    def __iter__(self) -> Iterator[str]:
        lines = self._lines()
        return lines if self.translated is None else map(self.translated, lines)

    def _lines(self) -> Iterator[str]:
        partial = ""
        for kind, text in self.output():
            if kind == "stderr":
                self.stderr += text
                continue
            *lines, partial = (partial + text).split("\n")
            yield from lines
        if partial:
            yield partial

    def output(self) -> Iterator[tuple[str, str]]:
        """Yield what the process writes, as pairs of `stdout` or `stderr` and text, until it has ended."""
        while True:
            try:
                event = next(self._events)
            except StopIteration as end:
                self._status = end.value.status
                self._ended.set()
                self._connection.close()
                return
            except BaseException:
                self._connection.close()
                raise
            yield event.stream, event.text

    def close_stdin(self) -> None:
        """End the standard input of the process; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(eof=True))

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(signal=number))

    def kill(self) -> None:
        """Kill the process, if it is still there; its lines then end. Safe to repeat, and from another thread."""
        self.signal(SIGKILL)

    def kill_or_abandon(self) -> None:
        """Kill the process. If its end is not reported soon, stop waiting: its lines then end with `agent-gone`.

        Call it in another thread than the one that reads them.
        """
        self.kill()
        if not self._ended.wait(_END_SECONDS):
            self._connection.interrupt()

    def wait(self) -> int:
        """Wait for the end, and return the exit status, negative for a signal; what it writes is dropped."""
        if self._status is None:
            for _ in self.output():
                pass
        assert self._status is not None  # noqa: S101  # output() sets it or raises
        return self._status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class RemoteEndpoint(RemoteProcess):
    """An endpoint that the agent started in a node, see `testbed.endpoint`."""

    def begin(self, start_ns: int) -> None:
        """Send a client its start time, by the nodes' clock; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(start_ns=start_ns + self.ahead_ns))
