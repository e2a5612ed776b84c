"""The process that started this endpoint: it reads our lines, and closes our standard input when we are to stop.

It writes one line to a client, `{"start_ns": N}`: the time at which the client is to begin.
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
"""How often progress is told."""

ROWS = 10_000
"""Rows of a column in one line, at most."""

_WAKE_S = 0.1


def _line(event: str, fields: Mapping[str, Field]) -> str:
    return json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n"


class Owner:
    """The way to the owner: lines to it, and its wish that we stop.

    Attributes:
        stopping: the owner wants us to end. Loops look at it at least every 0.1 s.
        start_ns: when a client was to begin, ns of the monotonic clock; 0 before that is known.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.start_ns = 0
        self._start_known = threading.Event()
        self._progress_due_ns = 0
        self._unsaid = ""
        self._fraction: float | None = None

    def watch(self) -> None:
        """Read standard input from now on: its end, as SIGINT and SIGTERM do, sets `stopping`."""
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
        """Tell the owner that this client is ready, wait to be told when to begin, and return at that time.

        When that was is written before the next line.

        Raises:
            Stopped: the owner wants us to end.
        """
        self.emit("ready")
        while not self._start_known.wait(_WAKE_S):
            self.check()
        pacing.wait_until(self.start_ns, self, 0)
        self._unsaid = _line("started", {"at_ns": monotonic_ns()})  # at this moment many clients want a core

    def check(self) -> None:
        """Stop if the owner wants us to; else tell the last progress again, if it is time to: we are alive.

        Raises:
            Stopped: the owner wants us to end.
        """
        if self.stopping:
            raise Stopped
        if self._fraction is not None:
            self.progress(self._fraction)

    def emit(self, event: str, **fields: Field) -> None:
        """Write one line. Where nobody reads us any more, the process ends: there is no one to do anything for."""
        try:
            sys.stdout.write(self._unsaid + _line(event, fields))
            sys.stdout.flush()
            self._unsaid = ""
        except BrokenPipeError:
            os._exit(1)  # not sys.exit, which would flush once more

    def emit_columns(self, event: str, columns: Mapping[str, Sequence[int]], **fields: Field) -> None:
        """Write columns of equal length, coded, in as many lines as keep each line small."""
        rows = len(next(iter(columns.values())))
        for row in range(0, rows, ROWS):
            coded = {name: encode(values[row : row + ROWS]) for name, values in columns.items()}
            self.emit(event, **fields, **coded)

    def emit_sent(self, sent_ns: Sequence[int]) -> None:
        """Write when the messages 0, 1, 2, ... were sent."""
        for first in range(0, len(sent_ns), ROWS):
            self.emit("sent", first=first, sent_ns=encode(sent_ns[first : first + ROWS]))

    def progress(self, fraction: float) -> None:
        """Tell how much is done, if it is time to tell."""
        self._fraction = fraction
        now = monotonic_ns()
        if now >= self._progress_due_ns:
            self._progress_due_ns = now + PROGRESS_NS
            self.emit("progress", fraction=round(fraction, 4))
