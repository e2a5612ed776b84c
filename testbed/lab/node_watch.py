"""The nodes of a lab while something is measured between them: do their programs run, and what do they write?"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from testbed.errors import LabError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from testbed.plan.model import Plan
    from testbed.runs import RunWriter
    from testbed.runtime import Runtime

_INTERVAL_S = 0.5
_NOTICING_S = 0.5
"""In which a runtime knows that a node has ended, after its traffic did."""

_RESTARTING_S = 3.0
"""In which a node that has ended may come again: restarted, which the agent notes."""

_CAUSES = ("node-exited", "node-paused")

_LOG_BYTES = 16 << 20
"""The most that a run keeps of what one node has written: the end of it."""


class NodeWatch:
    """Makes sure that the programs of all nodes run for as long as this context lasts.

    Raises on entering, from `follow`, and on leaving:
        LabError: `node-exited`, `node-paused`. It takes the place of another error, of which it is the cause.
    """

    def __init__(self, runtime: Runtime, lab: str) -> None:
        self._runtime = runtime
        self._lab = lab
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
                self._runtime.require_running(self._lab)
                ended_at = math.inf
            except TestbedError as error:
                ended_at = min(ended_at, time.monotonic())
                if error.code != "node-exited" or time.monotonic() - ended_at >= _RESTARTING_S:
                    self._failure = error
                    return

    def follow(self) -> None:
        """Raise what was found by now."""
        if self._failure is not None:
            raise self._failure

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is None:
            self.follow()
            self._runtime.require_running(self._lab, since=self._begun)
        elif isinstance(error, Exception) and error is not self._failure and (cause := self._cause()):
            cause.add_note(f"which ended in: {str(error).splitlines()[0]}")
            raise cause from None

    def _cause(self) -> LabError | None:
        """What is wrong with a node, where that is why something else failed."""
        deadline = time.monotonic() + _NOTICING_S
        while time.monotonic() < deadline:
            try:
                self.follow()
                self._runtime.require_running(self._lab)
            except LabError as failure:
                return failure if failure.code in _CAUSES else None
            except TestbedError:
                return None
            time.sleep(_NOTICING_S / 5)
        return None


@contextmanager
def keeping_logs(logs: Callable[[], Iterable[tuple[str, bytes]]], writer: RunWriter) -> Iterator[None]:
    """Have the run keep what the programs of nodes have written, from when the lab came up until this context ends.

    As far as it can be had: where a lab is destroyed meanwhile, that is not what its run is to fail with.
    """
    try:
        yield
    finally:
        for node, log in logs():
            with suppress(TestbedError):
                writer.log(node, log)


def logs_of(runtime: Runtime, plan: Plan) -> Iterator[tuple[str, bytes]]:
    """The nodes whose programs have written something that can still be had, and the end of that."""
    for node in plan.nodes:
        log = b""
        with suppress(TestbedError):
            log = _end(runtime.logs(plan.lab, node.name))
        if log:
            yield node.name, log


def _end(log: Iterable[bytes]) -> bytes:
    """The last bytes of a log, from the beginning of a line on."""
    pieces: deque[bytes] = deque()
    size = 0
    for piece in log:
        pieces.append(piece)
        size += len(piece)
        while size - len(pieces[0]) > _LOG_BYTES:
            size -= len(pieces.popleft())
    whole = b"".join(pieces)
    return whole if len(whole) <= _LOG_BYTES else whole[-_LOG_BYTES:].partition(b"\n")[2]
