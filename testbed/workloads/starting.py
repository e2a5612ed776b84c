"""The start of workloads that run together: one instant for all of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable

READY_S = 120.0
"""How long the workloads may take to get ready; each by itself fails after 90 s without a sign of life."""

_LEAD_NS = 100_000_000
_LEAD_EACH_NS = 3_000_000


class Start:
    """The common start of workloads that run together; each of them is carried out by a thread of its own.

    Args:
        count: how many workloads there are.
        now_ns: tells the time of the nodes' monotonic clock.
        chosen: called once, by one of the threads, with the start as soon as it is known, which is before it.

    Attributes:
        at_ns: the start, by the nodes' clock, ns; None before all workloads are ready.
        began_ns: when each workload began, by its name; not before the start.
    """

    def __init__(
        self, count: int, now_ns: Callable[[], int], chosen: Callable[[int], None] = lambda _start_ns: None
    ) -> None:
        self.at_ns: int | None = None
        self.began_ns: dict[str, int] = {}
        self._failure: TestbedError | None = None
        self._lead_ns = _LEAD_NS + count * _LEAD_EACH_NS
        self._now_ns = now_ns
        self._chosen = chosen
        self._barrier = threading.Barrier(count, self._choose, timeout=READY_S)

    def _choose(self) -> None:
        """Choose a start that leaves time to tell it to everybody."""
        try:
            start_ns = self._now_ns() + self._lead_ns
            self._chosen(start_ns)
            self.at_ns = start_ns
        except TestbedError as error:  # else one of the threads would raise it, and the others not know why
            self._failure = error

    def wait(self) -> int:
        """Wait until all workloads are ready; the start.

        Raises:
            WorkloadError: `start-cancelled`: another one failed, or did not get ready within `READY_S`.
            TestbedError: the start could not be chosen.
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
        """Let nobody wait for this start any longer: it will not come."""
        self._barrier.abort()
