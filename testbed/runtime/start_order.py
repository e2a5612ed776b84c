"""The order in which nodes start: all at once, but for those that depend on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Progress
    from testbed.runtime.readiness import Readiness

_AT_ONCE = 64
"""Nodes that are waited for at the same time; waiting costs little."""

_SAYING_SECONDS = 1


def start_in_order(plan: Plan, start: Callable[[Sequence[Node]], Readiness], progress: Progress) -> None:
    """Start nodes as soon as those that they depend on have started or are ready, and wait until all are ready.

    Args:
        plan: the nodes.
        start: starts some nodes at once, and returns what tells when nodes are ready, always the same.
        progress: receives what is waited for, once a second.

    Raises:
        LabError: those of `start` and of `Readiness.settle`, the first that comes.
    """
    if not any(node.ready or node.service.setup or node.service.depends_on for node in plan.nodes):
        start(plan.nodes)
        return
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # noqa: PLC0415  # seldom needed

    waiting, started, ready = list(plan.nodes), set[str](), set[str]()
    settling: dict[Future[None], Node] = {}
    readiness: Readiness | None = None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            while waiting or settling:
                able = [node for node in waiting if _may_start(node, started, ready)]
                if able:
                    readiness = start(able)
                    started |= {node.name for node in able}
                    waiting = [node for node in waiting if node.name not in started]
                    for node in able:
                        if node.ready or node.service.setup:
                            settling[pool.submit(readiness.settle, node)] = node
                        else:
                            ready.add(node.name)
                    continue
                if not settling:
                    names = ", ".join(node.name for node in waiting)
                    raise LabError("circle", f"nodes {names} depend on each other", "remove one of their depends_on")
                progress(_described(settling.values(), waiting))
                for future in wait(settling, _SAYING_SECONDS, return_when=FIRST_COMPLETED).done:
                    ready.add(settling.pop(future).name)
                    future.result()
        finally:
            if readiness:
                readiness.stopping.set()
            pool.shutdown(cancel_futures=True)


def _may_start(node: Node, started: set[str], ready: set[str]) -> bool:
    return all(
        each.node in (ready if each.condition == "service_healthy" else started) for each in node.service.depends_on
    )


def _described(settling: Iterable[Node], waiting: Sequence[Node]) -> str:
    """Say what is waited for: `waiting for db (TCP port 5432 accepts a connection), before app starts`."""
    awaited = ", ".join(f"{node.name} ({node.ready})" if node.ready else f"{node.name} (setup)" for node in settling)
    before = f", before {', '.join(node.name for node in waiting)} starts" if waiting else ""
    return f"waiting for {awaited}{before}"
