"""Errors of both runtimes about nodes that ended or were paused, and about a lab whose agent was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import LabError, MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.journal import PutBack

_LAST_LINES = 10


def exited(node: str, status: int, said: str) -> LabError:
    """Return the error of a node whose program has ended, with the last lines of its log."""
    lines = said.strip().splitlines()[-_LAST_LINES:]
    wrote = "\n".join(["; its last lines:", *(f"    {line}" for line in lines)]) if lines else " without any output"
    return LabError(
        "node-exited",
        f"node {node}: its program ended with status {status}{wrote}",
        "a node's program must keep running while the lab is up",
    )


def paused(node: str, *, now: bool, remedy: str) -> LabError:
    """Return the error of a node that is paused, or was during a measurement; `remedy` says how to continue it."""
    if now:
        return LabError("node-paused", f"node {node} is paused: its programs do not run", remedy)
    return LabError(
        "node-paused", f"node {node} was paused during the measurement", "repeat it without pausing the node"
    )


def held_by_faults(lab: str, held: Mapping[str, str]) -> list[str]:
    """Return a sentence for each node that a fault keeps from running.

    Args:
        lab: its name.
        held: the nodes, each with how: `paused` or `stopped`.
    """
    ends = {"paused": "unpause", "stopped": "start"}
    return [
        f"node {node} is {how} by a fault; testbed fault {lab} {node} {ends[how]} ends that"
        for node, how in held.items()
    ]


def after_death(done: PutBack | None, what: str) -> str:
    """Return what became of attached links after the lab's agent was killed; empty if nothing was put back.

    Args:
        done: what was put back.
        what: that is, in words: `containers`.
    """
    if done is None or not done.ports:
        return ""
    said = f"its agent was killed; the {what} that it was attached to are as they were before"
    return said + "".join(f"; but {failure}" for failure in done.failures)


def only_docker(said: str) -> MachineError:
    """Return the error of what only containers can do."""
    message = f"{said}, which are a Docker Engine's; runtime netns makes namespaces of its own"
    return MachineError("needs-containers", message, "leave --runtime netns out")
