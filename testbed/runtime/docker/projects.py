"""Compose projects that labs bring up: created first, so that the agent waits for their containers, then started.

A lab's directory records its project before anything of it is made, so that `down` finds it whatever has died.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError

from testbed import codec
from testbed.agent import messages
from testbed.errors import LabError, MachineError, TestbedError
from testbed.plan.relocation import on_subnets, readdress
from testbed.runtime.docker import compose, discovery
from testbed.runtime.docker.engine import in_parallel, refusals
from testbed.runtime.docker.starting import NO_HEALTHCHECK, health
from testbed.runtime.readiness import Readiness, first_address
from testbed.runtime.state import LabDirectory
from testbed.services import ComposeProject, Ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.runtime import Progress, Runtime
    from testbed.runtime.docker.engine import DockerEngine

_log = logging.getLogger(__name__)

_RUNTIME = "docker"
_LABEL = "com.docker.compose.project"
_ENDING_SECONDS = 120
"""In which a compose that was left alone when its command was killed ends."""

_POLL_SECONDS = 0.1
_HEALTHY_NS = 120 * 10**9

Identities = dict[str, messages.ContainerIdentity]


def create(engine: DockerEngine, plan: Plan, progress: Progress) -> tuple[Plan, Identities]:
    """Create the containers and networks of a plan's project, without starting any.

    Returns:
        The plan with the subnets that its networks have, and what tells its containers, by node.

    Raises:
        MachineError: `missing-files`, `no-compose`.
        LabError: `project-exists`, `compose-failed`, `compose-differs`.
    """
    project = plan.compose
    if project is None:
        raise MachineError(
            "missing-files",
            f"the nodes of the plan are compose project {plan.project}, whose files are not stored with a run",
            "run the topology that names them",
        )
    if _containers(engine, project.name):
        raise LabError(
            "project-exists",
            f"a compose project {project.name} is there already, and is not of this lab",
            f"compose: {{project: {project.name}}} attaches to it as it is; for one beside it give another `project:`, "
            "or --name",
        )
    _record(engine, plan.lab, project)
    with _alone(plan.lab) as lock:
        compose.program().create(project, progress, holding=lock)
    present = discovery.discover(engine)
    made = {
        each.name: messages.ContainerIdentity(
            name=each.name, project=each.project, service=each.service, number=each.number
        )
        for each in present.of_project(project.name)
    }
    found = {node.name: made[node.container] for node in plan.nodes if node.container in made}
    missing = [
        node.container
        for node in plan.nodes
        if node.container not in made and node.container and node.container not in present.containers
    ]
    if missing:
        raise LabError(
            "compose-differs", f"Docker Compose made {', '.join(sorted(made))}, but not {', '.join(missing)}"
        )
    subnets = {
        network.name: (there.subnet, there.gateway)
        for network in plan.networks
        if network.present and (there := present.networks.get(network.present))
    }
    return on_subnets(plan, subnets), found


def expect(engine: DockerEngine, agent: Agent, plan: Plan, identities: Identities) -> None:
    """Let the agent wait for a project's containers.

    Raises:
        LabError: `docker-refused`, `no-such-bridge`.
    """
    bridges = {each["Name"]: _bridge(each) for each in engine.networks()}
    agent.call(
        messages.Await(
            networks=tuple(
                messages.WatchedNetwork(name=network.name, bridge=bridges[network.present], mtu=network.mtu)
                for network in plan.networks
                if network.present
            ),
            nodes=tuple(
                messages.AwaitedNode(
                    name=node.name,
                    identity=identities[node.name],
                    addresses={each.network: each.address for each in node.interfaces},
                )
                for node in plan.nodes
                if node.name in identities
            ),
        )
    )


def start(runtime: Runtime, engine: DockerEngine, plan: Plan, progress: Progress) -> Plan:
    """Start a project's containers, and wait until those with a HEALTHCHECK are healthy; the plan with their addresses.

    Raises:
        LabError: `compose-failed`, `node-exited`, `not-ready`.
    """
    assert plan.compose  # noqa: S101  # it was created
    with _alone(plan.lab) as lock:
        compose.program().start(plan.compose, progress, holding=lock)
    runtime.require_running(plan.lab)
    present = {each.name: each for each in discovery.discover(engine).of_project(plan.project)}
    networks = {network.present: network.name for network in plan.networks if network.present}
    found = {
        (node.name, networks[attachment.network]): (str(attachment.address), attachment.mac)
        for node in plan.nodes
        if node.container in present
        for attachment in present[node.container].attachments
        if attachment.network in networks
    }
    plan = readdress(plan, found)
    readiness = Readiness(
        runtime=runtime,
        lab=plan.lab,
        agent=runtime.connect(plan.lab),
        address=partial(first_address, plan),
        health=lambda node: health(engine, plan.node(node).container),
    )
    is_healthy = Ready(tcp=None, healthcheck=True, timeout_ns=_HEALTHY_NS)
    for node in plan.nodes:
        if node.container in present:
            if health(engine, node.container)[0] != NO_HEALTHCHECK:
                progress(f"{node.name} to be healthy")
                readiness.settle(replace(node, ready=is_healthy))
            readiness.settle(node)
    return plan


def down(engine: DockerEngine, lab: str) -> None:
    """Remove the project that a lab brought up, and the volumes that were made with it.

    Raises:
        LabError: `docker-refused`; `compose-busy`.
    """
    stored: dict[str, Any] = json.loads(LabDirectory(_RUNTIME, lab).compose.read_text("utf-8"))
    project = codec.decode(stored["project"], ComposeProject)
    with _alone(lab) as lock:
        try:
            compose.program().down(project, volumes=stored["new_volumes"], holding=lock)
        except TestbedError as error:  # its files may have changed, or gone
            _log.warning("project %s is removed without Docker Compose: %s", project.name, error.message)
        in_parallel(partial(_remove, engine), [each["Id"] for each in _containers(engine, project.name)])
        for network in engine.networks():
            if (network.get("Labels") or {}).get(_LABEL) == project.name:
                with refusals(f"network {network['Name']}"):
                    engine.api.remove_network(network["Id"])


def _remove(engine: DockerEngine, container: str) -> None:
    with suppress(APIError):  # it goes at this moment
        engine.api.remove_container(container, v=True, force=True)


def _record(engine: DockerEngine, lab: str, project: ComposeProject) -> None:
    with refusals("list of volumes"):
        volumes = engine.api.volumes(filters={"label": f"{_LABEL}={project.name}"})["Volumes"]
    record = {"project": codec.encode(project), "new_volumes": not volumes}
    LabDirectory(_RUNTIME, lab).compose.write_text(json.dumps(record), "utf-8")


@contextmanager
def _alone(lab: str) -> Iterator[int]:
    """Keep others from running Docker Compose for a lab; yield the descriptor of the lock, for it to hold as well.

    Raises:
        LabError: `compose-busy`.
    """
    deadline = time.monotonic() + _ENDING_SECONDS
    with LabDirectory(_RUNTIME, lab).compose.open("rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(
                        "compose-busy",
                        f"Docker Compose still runs for lab {lab}, whose command was killed",
                        "wait for it to end, or end it",
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield file.fileno()


def _containers(engine: DockerEngine, project: str) -> list[Mapping[str, Any]]:
    return [each for each in engine.containers() if each["Labels"].get(_LABEL) == project]


def _bridge(network: Mapping[str, Any]) -> str:
    """The name of a bridge network's device on the Docker Engine's machine."""
    name: str = (network.get("Options") or {}).get("com.docker.network.bridge.name", f"br-{network['Id'][:12]}")
    return name
