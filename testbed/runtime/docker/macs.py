"""Which MACs of a file a Docker Engine can give containers.

From API 1.44 (Docker Engine 25) on each interface has the MAC that is asked for. Before, a container has one network at
its creation, and only a MAC there; interfaces of other networks have those that derive from their addresses. podman
takes all networks at creation, whatever its API's version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.utils import version_lt

from testbed.errors import MachineError

if TYPE_CHECKING:
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Interface, Node
    from testbed.runtime.docker.engine import DockerEngine

_API_OF_MAC_PER_NETWORK = "1.44"


def attaches_one(engine: DockerEngine) -> bool:
    """Return whether containers have one network at their creation, and join the others afterwards."""
    return not engine.is_podman and bool(version_lt(engine.api.api_version, _API_OF_MAC_PER_NETWORK))


def of_container(plan: Plan, node: Node) -> str | None:
    """Return the MAC that a container gets on its first network if `attaches_one`; None is the engine's choice."""
    switched = _switched(plan, node)
    return (switched[0].given_mac or None) if switched else None


def require_possible(engine: DockerEngine, plan: Plan) -> None:
    """Require that the Docker Engine gives nodes the MACs of the file.

    Raises:
        MachineError: `mac-not-possible`.
    """
    if not attaches_one(engine):
        return
    for node in plan.nodes:
        for interface in _switched(plan, node)[1:]:
            if interface.given_mac:
                raise MachineError(
                    "mac-not-possible",
                    f"node {node.name}, network {interface.network}: this Docker Engine gives a container no MAC but "
                    "on the first of its networks",
                    "name that network first, use Docker Engine 25 or newer, or --runtime netns",
                )


def _switched(plan: Plan, node: Node) -> list[Interface]:
    """Return the interfaces of a node that the Docker Engine makes, in the order of the file."""
    wires = {network.name for network in plan.networks if network.wire}
    return [interface for interface in node.interfaces if interface.network not in wires]
