"""Work on many links at once in a lab's nodes, that leaves nothing running however it ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testbed.check.budget import Budget
    from testbed.workloads.nodes import KillableNodes

_TICK_S = 0.1

Item = TypeVar("Item")


class ProgressSum:
    """How much of the work is done, told in the thread that waits for it."""

    def __init__(self, progress: Callable[[float], None] | None, parts: int) -> None:
        self._progress = progress
        self._fractions = [0.0] * parts
        self._begun = 0

    def begin(self) -> Callable[[float], None]:
        """Another part begins: what says how much of it is done."""
        part = self._begun
        self._begun += 1

        def say(fraction: float) -> None:
            self._fractions[part] = fraction

        return say

    def tell(self) -> None:
        """Tell how much is done of all."""
        if self._progress is not None:
            self._progress(sum(self._fractions) / max(len(self._fractions), 1))


def each(
    items: Iterable[Item],
    at_once: int,
    work: Callable[[Item, Callable[[float], None]], None],
    told: ProgressSum,
    *,
    guarded: KillableNodes,
    budget: Budget,
) -> None:
    """Do something with each of `items`, so many at once, and say in this thread how far that is.

    When the budget is overrun, everything that runs in nodes is killed, so that the work on each item soon ends.
    """

    def one(item: Item, say: Callable[[float], None]) -> None:
        work(item, say)
        say(1.0)

    with ThreadPoolExecutor(at_once, thread_name_prefix="check") as pool:
        pending = {pool.submit(one, item, told.begin()) for item in items}
        try:
            while pending:
                done, pending = wait(pending, timeout=_TICK_S)
                for future in done:
                    future.result()
                told.tell()
                if pending and budget.overrun:
                    guarded.kill()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            guarded.kill()
            raise
