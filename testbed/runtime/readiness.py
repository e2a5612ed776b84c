"""When a node counts as up: its TCP port accepts a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from testbed import units
from testbed.errors import LabError

if TYPE_CHECKING:
    from testbed.agent.client import Agent
    from testbed.plan.model import Plan

_PAUSE_SECONDS = 0.05


def wait(agent: Agent, plan: Plan) -> None:
    """Wait for every node that says when it is ready.

    Raises:
        LabError: `not-ready`, a port did not accept a connection in time.
    """
    for node in plan.nodes:
        if not node.ready:
            continue
        attempts = Retrying(
            retry=retry_if_result(lambda accepted: not accepted),
            stop=stop_after_delay(node.ready.timeout_ns / 1e9),
            wait=wait_fixed(_PAUSE_SECONDS),
        )
        address, port = node.interfaces[0].address, node.ready.tcp
        try:
            attempts(agent.call, "accepts", node=node.name, address=address, port=port)
        except RetryError:
            raise LabError(
                "not-ready",
                f"{node.name} accepted no connection on TCP port {port} within "
                f"{units.DURATION.format(node.ready.timeout_ns)}",
                "does its command listen on that port, on all addresses? give it longer with ready.timeout",
            ) from None
