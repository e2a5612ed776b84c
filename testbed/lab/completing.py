"""What a shell completes: names of labs, and of the nodes of one. It imports little, since it runs for every Tab."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from testbed.errors import TestbedError
from testbed.runtime import BACKENDS, state


def labs() -> list[str]:
    """Return the names of this user's labs."""
    with suppress(TestbedError):
        return sorted(name for runtime in BACKENDS for name in state.labs(runtime))
    return []


def nodes(lab: str) -> list[str]:
    """Return the names of a lab's nodes and groups; none where its agent does not answer on this machine."""
    plan = _plan(lab)
    return [*(str(node["name"]) for node in plan.get("nodes", ())), *plan.get("groups", {})]


def _plan(lab: str) -> dict[str, Any]:
    """Return a lab's plan as JSON; an empty one where there is none."""
    from testbed.agent import messages  # noqa: PLC0415  # names of labs need no connection
    from testbed.agent.client import Agent  # noqa: PLC0415

    for runtime in BACKENDS:
        with suppress(TestbedError, OSError):
            if lab in state.labs(runtime):
                held = Agent.at(state.LabDirectory(runtime, lab).socket).call(messages.Recall())
                return cast("dict[str, Any]", held or {})
    return {}
