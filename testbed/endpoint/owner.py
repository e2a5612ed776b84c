"""The connection to the owner, the process that started this endpoint.

The owner reads the endpoint's standard output and closes its standard input to stop it. To a client it writes one line,
`{"start_ns": N}`: the time at which the client begins.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import pacing
from testbed.endpoint.columns import encode
from testbed.endpoint.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Field = str | int | float | list[int] | None

PROGRESS_NS = 500_000_000
"""The time between two reports of progress."""

ROWS = 10_000
"""The most rows of a column in one line."""

_WAKE_S = 0.1


def _line(event: str, fields: Mapping[str, Field]) -> str:
    return json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n"


class Owner:
    """Writes lines to the owner, and learns from it when to begin and to stop.

    Attributes:
        stopping: whether the owner wants the endpoint to stop. Loops check it at least every 0.1 s.
        start_ns: the start time of a client, ns of the monotonic clock; 0 before it is known.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.start_ns = 0
        self._start_known = threading.Event()
        self._progress_due_ns = 0
        self._delayed_line = ""
        self._fraction: float | None = None

    def watch(self) -> None:
        """Start to read standard input; its end, SIGINT and SIGTERM set `stopping`."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop())
        threading.Thread(target=self._read, daemon=True).start()

    def _stop(self) -> None:
        self.stopping = True

    def _read(self) -> None:
        line = b""
        while data := os.read(sys.stdin.fileno(), 4096):
            line += data
            if line.endswith(b"\n") and not self._start_known.is_set():
                self.start_ns = json.loads(line)["start_ns"]
                self._start_known.set()
        self._stop()

    def await_start(self) -> None:
        """Report that this client is ready, wait for the start time from the owner, and return at that time.

        The line `started` is written before the next line.

        Raises:
            Stopped: the owner wants the endpoint to stop.
        """
        self.emit("ready")
        while not self._start_known.wait(_WAKE_S):
            self.check()
        pacing.wait_until(self.start_ns, self, 0)
        self._delayed_line = _line(
            "started", {"at_ns": monotonic_ns()}
        )  # written later: many clients need the CPU at this moment

    def check(self) -> None:
        """Raise `Stopped` if the owner wants that; otherwise repeat the last progress if it is due, as a sign of life.

        Raises:
            Stopped: the owner wants the endpoint to stop.
        """
        if self.stopping:
            raise Stopped
        if self._fraction is not None:
            self.progress(self._fraction)

    def emit(self, event: str, **fields: Field) -> None:
        """Write one line; if the owner no longer reads, end the process."""
        try:
            sys.stdout.write(self._delayed_line + _line(event, fields))
            sys.stdout.flush()
            self._delayed_line = ""
        except BrokenPipeError:
            os._exit(1)  # not sys.exit, which would flush once more

    def emit_columns(self, event: str, columns: Mapping[str, Sequence[int]], **fields: Field) -> None:
        """Write columns of equal length, encoded, in several lines of at most `ROWS` rows."""
        rows = len(next(iter(columns.values())))
        for row in range(0, rows, ROWS):
            coded = {name: encode(values[row : row + ROWS]) for name, values in columns.items()}
            self.emit(event, **fields, **coded)

    def emit_sent(self, sent_ns: Sequence[int]) -> None:
        """Write the times at which the messages 0, 1, 2, ... were sent."""
        for first in range(0, len(sent_ns), ROWS):
            self.emit("sent", first=first, sent_ns=encode(sent_ns[first : first + ROWS]))

    def progress(self, fraction: float) -> None:
        """Report the fraction that is done, if a report is due."""
        self._fraction = fraction
        now = monotonic_ns()
        if now >= self._progress_due_ns:
            self._progress_due_ns = now + PROGRESS_NS
            self.emit("progress", fraction=round(fraction, 4))
