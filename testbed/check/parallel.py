"""Run work for many links in parallel, and leave nothing running in the nodes when it ends or fails."""

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
    """Adds up the progress of all items and reports it in the waiting thread."""

    def __init__(self, progress: Callable[[float], None] | None, parts: int) -> None:
        self._progress = progress
        self._fractions = [0.0] * parts
        self._begun = 0

    def begin(self) -> Callable[[float], None]:
        """Begin another part and return the function that takes the fraction of it that is done."""
        part = self._begun
        self._begun += 1

        def report(fraction: float) -> None:
            self._fractions[part] = fraction

        return report

    def report(self) -> None:
        """Report the fraction of all parts that is done."""
        if self._progress is not None:
            self._progress(sum(self._fractions) / max(len(self._fractions), 1))


def share(say: Callable[[float], None], part: int, parts: int) -> Callable[[float], None]:
    """Return a function that takes the fraction done of one of several equal parts, and reports that of the whole."""
    return lambda done: say((part + done) / parts)


def run_all(
    items: Iterable[Item],
    at_once: int,
    work: Callable[[Item, Callable[[float], None]], None],
    progress: ProgressSum,
    *,
    guarded: KillableNodes,
    budget: Budget,
) -> None:
    """Call `work` for each of `items`, `at_once` in parallel, and report the progress in this thread.

    When the budget is overrun, everything that runs in nodes is killed, so that all work ends soon.
    """

    def run_item(item: Item, report: Callable[[float], None]) -> None:
        work(item, report)
        report(1.0)

    with ThreadPoolExecutor(at_once, thread_name_prefix="check") as pool:
        pending = {pool.submit(run_item, item, progress.begin()) for item in items}
        try:
            while pending:
                done, pending = wait(pending, timeout=_TICK_S)
                for future in done:
                    future.result()
                progress.report()
                if pending and budget.overrun:
                    guarded.kill()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            guarded.kill()
            raise
