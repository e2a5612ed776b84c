"""command: any program in a node; its output is kept, and lines of JSON are samples."""

from __future__ import annotations

import json
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from testbed.workloads.programs import failed_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.plan.workloads import Workload


class Client:
    """Reads the program; see `testbed.workloads.programs.OutputReader`.

    A line that is a JSON object becomes a `sample` with the object as `data`, any other line an `output`.
    """

    def __init__(self, workload: Workload, _round_trip_ns: int) -> None:
        argv = workload.parameters["command"]
        assert isinstance(argv, tuple)  # noqa: S101 (the file's model)
        self.argv: Sequence[str] = argv
        self.lasts_ns = self.timeout_ns = workload.number("timeout_ns")
        self._started_ns = monotonic_ns()

    def line(self, line: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """Yield the events of a line of standard output."""
        try:
            data = json.loads(line)
        except ValueError:
            data = None
        if isinstance(data, dict):
            yield {"event": "sample", "at_ns": at_ns, "data": data}
        else:
            yield {"event": "output", "at_ns": at_ns, "line": line}

    def end(self, status: int, stderr: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """Yield the lines of standard error, and an `end` or an `error`."""
        for line in stderr.splitlines():
            yield {"event": "output", "at_ns": at_ns, "line": line, "stream": "stderr"}
        if status:
            yield failed_with(self.argv, status, stderr)
        else:
            yield {"event": "end", "duration_ns": at_ns - self._started_ns}
