"""When a node counts as up: its TCP port accepts a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import units
from testbed.errors import LabError

if TYPE_CHECKING:
    from testbed.agent.client import Agent
    from testbed.plan.model import Plan, Ready

_PAUSE_SECONDS = 0.05


def wait(agent: Agent, plan: Plan) -> None:
    """Wait for every node that says when it is ready.

    Raises:
        LabError: `not-ready`, a port did not accept a connection in time.
    """
    for node in plan.nodes:
        if node.ready:
            _until_accepted(agent, node.name, node.interfaces[0].address, node.ready)


def _until_accepted(agent: Agent, node: str, address: str, ready: Ready) -> None:
    from tenacity import (  # noqa: PLC0415 (few files say when a node is ready)
        RetryError,
        Retrying,
        retry_if_result,
        stop_after_delay,
        wait_fixed,
    )

    attempts = Retrying(
        retry=retry_if_result(lambda accepted: not accepted),
        stop=stop_after_delay(ready.timeout_ns / 1e9),
        wait=wait_fixed(_PAUSE_SECONDS),
    )
    try:
        attempts(agent.call, "accepts", node=node, address=address, port=ready.tcp)
    except RetryError:
        raise LabError(
            "not-ready",
            f"{node} accepted no connection on TCP port {ready.tcp} within {units.DURATION.format(ready.timeout_ns)}",
            "does its command listen on that port, on all addresses? give it longer with ready.timeout",
        ) from None
