"""The containers of a lab's nodes: those that the lab made, found by their labels, and the attached ones."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from testbed.errors import TestbedError, no_such_lab, unknown_node
from testbed.plan.members import require_version
from testbed.runtime.docker import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.agent.client import Agent
    from testbed.agent.messages import AgentStatus
    from testbed.plan.model import Plan
    from testbed.runtime.docker.engine import DockerEngine


class NodeContainers:
    """Finds the containers of nodes, and notices which have been removed.

    A lab's agent knows which containers are attached to it. The answer is kept, and the agent is asked again where a
    container is missing: it may have been made anew, or have joined or left its service.

    Args:
        engine: returns the Docker Engine.
        connect: returns the agent of a lab.
    """

    def __init__(self, engine: Callable[[], DockerEngine], connect: Callable[[str], Agent]) -> None:
        self._engine = engine
        self._connect = connect
        self._attached: dict[str, Mapping[str, str]] = {}
        self._made: dict[str, set[str]] = {}
        """By lab, the nodes of its own that have been seen, so that one whose container is removed is missed."""

    def begin(self, plan: Plan, *, without: Mapping[str, object]) -> Mapping[str, str]:
        """Note which containers a lab that comes up attaches, and return their names by node.

        Args:
            plan: of the lab.
            without: nodes whose containers are not made yet.
        """
        attached = {node.name: node.container for node in plan.nodes if node.container and node.name not in without}
        self._attached[plan.lab] = attached
        return attached

    def forget(self, lab: str) -> None:
        """Forget which containers of a lab have been seen."""
        self._made.pop(lab, None)

    def of(self, lab: str) -> dict[str, dict[str, Any]]:
        """Return the containers of a lab as the Docker Engine lists them, by node."""
        return objects.nodes_of(self._engine(), lab, self._attached_to(lab))

    def one(self, lab: str, node: str) -> dict[str, Any]:
        """Return the container of a node, as the Docker Engine lists it.

        Raises:
            UsageError: `no-such-lab`, `unknown-node`.
        """
        containers = self.of(lab)
        if node not in containers:
            containers = objects.nodes_of(self._engine(), lab, self._attached_to(lab, again=True))
        if not containers:
            raise no_such_lab(lab)
        if node not in containers:
            raise unknown_node(node, sorted(containers))
        return containers[node]

    def with_removed(self, lab: str) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return the containers of a lab by node, and the names of those that have been removed, by node."""
        attached = self._attached_to(lab)
        containers = objects.nodes_of(self._engine(), lab, attached)
        made = self._made.setdefault(lab, set())
        made.update(node for node, container in containers.items() if objects.LAB in container["Labels"])
        if (attached.keys() | made) - containers.keys():
            attached = self._attached_to(lab, again=True)
            containers = objects.nodes_of(self._engine(), lab, attached)
        removed = sorted((attached.keys() | made) - containers.keys())
        return containers, {node: attached.get(node) or objects.container_name(lab, node) for node in removed}

    def _attached_to(self, lab: str, *, again: bool = False) -> Mapping[str, str]:
        """Return the names of the attached containers of a lab, by node.

        Args:
            lab: its name.
            again: ask the agent even if it has been asked before.
        """
        if again or lab not in self._attached:
            status = None
            with suppress(TestbedError):
                status = self._connect(lab).hello()
            if status is None or not status.is_up:
                return self._attached.get(lab, {})
            self._attached[lab] = attached_containers(status)
        return self._attached[lab]


def attached_containers(status: AgentStatus) -> dict[str, str]:
    """Return the names of the containers that a lab did not make, by node.

    Raises:
        LabError: as `require_version`.
    """
    require_version(status)
    found = {**status.containers} | {member.name: member.container for member in status.members}
    return {node: container for node, container in found.items() if node not in status.left}
