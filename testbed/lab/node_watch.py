"""Watching the nodes of a lab during a measurement: whether their programs run, and what they write."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from testbed.errors import LabError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from types import TracebackType

    from testbed.plan.model import Plan
    from testbed.runs import RunWriter
    from testbed.runtime import Runtime

_log = logging.getLogger(__name__)

_INTERVAL_S = 0.5
_NOTICING_S = 0.5
"""Time within which a runtime knows that a node has ended, after its traffic has."""

_RESTARTING_S = 3.0
"""Time within which a node that has ended may be restarted, which the agent notes."""

_CAUSES = ("node-exited", "node-paused", "machine-gone")

_LOG_BYTES = 16 << 20
"""Limit on the log of one node in a run; its end is kept."""


class NodeWatch:
    """A context that fails if the program of a node stops running.

    Raises on entering, from `follow`, and on leaving:
        LabError: `node-exited`, `node-paused`. It replaces an error that it has caused.
    """

    def __init__(self, runtime: Runtime, lab: str, may_fail: Collection[str] = ()) -> None:
        """Nodes that `may_fail` must run at first, like all others."""
        self._runtime = runtime
        self._lab = lab
        self._may_fail = may_fail
        self._failure: TestbedError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, daemon=True)

    def __enter__(self) -> Self:
        self._begun = self._runtime.moment(self._lab)
        self._runtime.require_running(self._lab)
        self._thread.start()
        return self

    def _look_again_and_again(self) -> None:
        ended_at = math.inf
        while not self._over.wait(_INTERVAL_S):
            try:
                self._look()
                ended_at = math.inf
            except TestbedError as error:
                ended_at = min(ended_at, time.monotonic())
                if error.code != "node-exited" or time.monotonic() - ended_at >= _RESTARTING_S:
                    self._failure = error
                    _log.warning("%s", error)
                    return

    def _look(self, since: str = "") -> Mapping[str, str]:
        return self._runtime.require_running(self._lab, since=since, may_fail=self._may_fail)

    def failures(self) -> tuple[str, ...]:
        """Return a sentence for each node that may fail and has ended."""
        return tuple(f"node {node} ended ({how}), which its may_fail allows" for node, how in self._look().items())

    def follow(self) -> None:
        """Raise the error of a node that has stopped, if any has."""
        if self._failure is not None:
            raise self._failure

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is None:
            self.follow()
            self._look(self._begun)
        elif isinstance(error, Exception) and error is not self._failure and (cause := self._cause()):
            consequence = str(error).partition("\n")[0] or repr(error)
            cause.add_note(f"as a consequence: {consequence}")
            raise cause from None

    def _cause(self) -> LabError | None:
        """Return the error of a node that has stopped, which explains another error; None if all nodes run."""
        deadline = time.monotonic() + _NOTICING_S
        while time.monotonic() < deadline:
            try:
                self.follow()
                self._look()
            except LabError as failure:
                return failure if failure.code in _CAUSES else None
            except TestbedError:
                return None
            time.sleep(_NOTICING_S / 5)
        return None


@contextmanager
def keeping_logs(logs: Callable[[], Iterable[tuple[str, bytes]]], writer: RunWriter) -> Iterator[None]:
    """Write the logs of nodes, since the lab came up, into the run when this context ends.

    Logs that can't be read are left out, so that they do not hide the error of a lab that was destroyed meanwhile.
    """
    try:
        yield
    finally:
        for node, log in logs():
            with suppress(TestbedError):
                writer.log(node, log)


def logs_of(runtime: Runtime, plan: Plan) -> Iterator[tuple[str, bytes]]:
    """Yield each node with a readable log that is not empty, and the end of the log."""
    for node in plan.nodes:
        log = b""
        with suppress(TestbedError):
            log = _end(runtime.logs(plan.lab, node.name))
        if log:
            yield node.name, log


def _end(log: Iterable[bytes]) -> bytes:
    """Return the last bytes of a log, starting at the beginning of a line."""
    pieces: deque[bytes] = deque()
    size = 0
    for piece in log:
        pieces.append(piece)
        size += len(piece)
        while size - len(pieces[0]) > _LOG_BYTES:
            size -= len(pieces.popleft())
    whole = b"".join(pieces)
    return whole if len(whole) <= _LOG_BYTES else whole[-_LOG_BYTES:].partition(b"\n")[2]
