"""Choose one start time for all workloads that run together."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

READY_S = 120.0
"""How long the workloads may take to get ready; a workload fails earlier, after 90 s of silence."""

_LEAD_NS = 100_000_000
_LEAD_EACH_NS = 3_000_000


class StartBarrier:
    """The common start of workloads that run together, each in its own thread.

    Args:
        count: the number of workloads.
        now_ns: returns the time of the nodes' monotonic clock.
        chosen: called once, in one of the threads, with the start time when it is chosen.
        lead_ns: how long `chosen` may take.

    Attributes:
        at_ns: the start time by the nodes' clock, ns; None before all workloads are ready.
        began_ns: when each workload began, by its name.
    """

    def __init__(
        self,
        count: int,
        now_ns: Callable[[], int],
        chosen: Callable[[int], None] = lambda _start_ns: None,
        *,
        lead_ns: int = 0,
    ) -> None:
        self.at_ns: int | None = None
        self.began_ns: dict[str, int] = {}
        self._failure: TestbedError | None = None
        self._lead_ns = _LEAD_NS + count * _LEAD_EACH_NS + lead_ns
        self._now_ns = now_ns
        self._chosen = chosen
        self._barrier = threading.Barrier(count, self._choose, timeout=READY_S)

    def _choose(self) -> None:
        """Choose a start time that leaves enough time to send it to all clients."""
        try:
            start_ns = self._now_ns() + self._lead_ns
            self._chosen(start_ns)
            self.at_ns = start_ns
            _log.debug("%d workloads are ready and start in %.3f s", self._barrier.parties, self._lead_ns / 1e9)
        except TestbedError as error:  # raised in one thread only, the others would not know the reason
            self._failure = error

    def wait(self) -> int:
        """Wait until all workloads are ready, and return the start time.

        Raises:
            WorkloadError: `start-cancelled`: another one failed, or did not get ready within `READY_S`.
            TestbedError: the start time could not be chosen.
        """
        try:
            self._barrier.wait()
        except threading.BrokenBarrierError:
            raise WorkloadError(
                "start-cancelled", "workloads that were to start together were not all ready in time, or one failed"
            ) from None
        if self._failure is not None:
            raise self._failure
        assert self.at_ns is not None  # noqa: S101 (`_choose` has set it)
        return self.at_ns

    def cancel(self) -> None:
        """Cancel the start, so that no workload waits for it any longer."""
        self._barrier.abort()
