"""The state of labs of containers: of each node, and what keeps a lab from being healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.agent.client import HURRIED_SECONDS
from testbed.errors import MachineError, TestbedError
from testbed.runtime import LabStatus, failures, state
from testbed.runtime.docker import agents, objects
from testbed.runtime.docker.node_containers import attached_containers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.agent.client import Agent
    from testbed.runtime.docker.engine import DockerEngine

_RUNTIME = "docker"


def of_all(find_engine: Callable[[], DockerEngine], connect: Callable[[str], Agent]) -> list[LabStatus]:
    """Return the states of all labs that have a container, a network or a directory.

    Args:
        find_engine: returns the Docker Engine, or raises MachineError.
        connect: returns the agent of a lab.
    """
    nodes: dict[str, dict[str, str]] = {lab: {} for lab in state.labs(_RUNTIME)}
    try:
        engine = find_engine()
        all_containers = engine.containers()
    except MachineError as error:
        return [LabStatus(lab=lab, runtime=_RUNTIME, nodes={}, healthy=False, problem=error.message) for lab in nodes]
    for found in (*engine.networks(lab=None), *all_containers):
        if objects.LAB in found["Labels"]:
            states = nodes.setdefault(found["Labels"][objects.LAB], {})
            if node := found["Labels"].get(objects.NODE):
                states[node] = found["State"]
    states_by_name = {objects.name_of(container): container["State"] for container in all_containers}
    return [
        _status(engine, lab, connect, dict(sorted(states.items())), states_by_name)
        for lab, states in sorted(nodes.items())
    ]


def holds(engine: DockerEngine, lab: str) -> bool:
    """Return whether a lab has a container, a network or a directory."""
    return lab in state.labs(_RUNTIME) or bool(engine.networks(lab=lab) or engine.containers(lab=lab))


def of_one(engine: DockerEngine, lab: str, connect: Callable[[str], Agent]) -> LabStatus:
    """Return the state of a lab, as `of_all`."""
    nodes = {node: container["State"] for node, container in objects.nodes_of(engine, lab, {}).items()}
    states_by_name = {objects.name_of(container): container["State"] for container in engine.containers()}
    return _status(engine, lab, connect, dict(sorted(nodes.items())), states_by_name)


def _status(
    engine: DockerEngine,
    lab: str,
    connect: Callable[[str], Agent],
    nodes: dict[str, str],
    states_by_name: Mapping[str, str],
) -> LabStatus:
    notes: Sequence[str] = ()
    held: Mapping[str, str] = {}
    try:
        agent = connect(lab)
        hello, attachments = agent.hello(HURRIED_SECONDS), agent.call(messages.ReadAttachments(settled=False))
        held = hello.held
        notes = (*attachments.notes, *failures.held_by_faults(lab, held))
        if not hello.is_up:
            problem = "it was never brought up completely"
        else:
            attached = {node: states_by_name.get(name, "removed") for node, name in attached_containers(hello).items()}
            nodes = {**dict.fromkeys(hello.nodes, "removed"), **nodes, **attached}
            problem = "; ".join(attachments.problems)
        problem = problem or "; ".join(f"{link}: {death}" for link, death in hello.dead_links.items())
    except TestbedError as error:
        problem = error.message
        if error.code == "agent-gone":
            problem = failures.after_death(agents.aftermath(engine, lab), "containers") or problem
    stopped = [f"{node} is {now}" for node, now in nodes.items() if now != "running" and node not in held]
    problem = problem or ", ".join(stopped)
    return LabStatus(lab=lab, runtime=_RUNTIME, nodes=nodes, healthy=not problem, problem=problem, notes=notes)
