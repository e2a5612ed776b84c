"""Readiness of nodes: a node counts as up when its TCP port accepts a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import units
from testbed.agent import messages
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan, Ready

_PAUSE_SECONDS = 0.05


def wait(agent: Agent, plan: Plan, require_running: Callable[[], None]) -> None:
    """Wait until every node with a `ready` condition meets it.

    Args:
        agent: of the lab.
        plan: whose nodes they are.
        require_running: raises where a node has ended, which will never be ready.

    Raises:
        LabError: `not-ready`, a port did not accept a connection in time; what `require_running` raises.
    """
    for node in plan.nodes:
        if node.ready:
            _until_accepted(agent, node.name, node.interfaces[0].address, node.ready, require_running)


def _until_accepted(agent: Agent, node: str, address: str, ready: Ready, require_running: Callable[[], None]) -> None:
    from tenacity import (  # noqa: PLC0415 (few files say when a node is ready)
        RetryError,
        Retrying,
        retry_if_result,
        stop_after_delay,
        wait_fixed,
    )

    def accepts() -> bool:
        if agent.call(messages.Accepts(node=node, address=address, port=ready.tcp)):
            return True
        require_running()
        return False

    attempts = Retrying(
        retry=retry_if_result(lambda accepted: not accepted),
        stop=stop_after_delay(ready.timeout_ns / 1e9),
        wait=wait_fixed(_PAUSE_SECONDS),
    )
    try:
        attempts(accepts)
    except RetryError:
        raise LabError(
            "not-ready",
            f"{node} accepted no connection on TCP port {ready.tcp} within {units.DURATION.format(ready.timeout_ns)}",
            "check that its command listens on that port, on all addresses, or raise ready.timeout",
        ) from None
