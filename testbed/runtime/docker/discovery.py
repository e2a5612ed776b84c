"""Finds the containers that run on a Docker Engine already, and the networks that they are on."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound

from testbed.agent.messages import ContainerIdentity, PresentNode
from testbed.errors import LabError, UsageError
from testbed.present import Present, PresentAttachment, PresentContainer, PresentNetwork, placed
from testbed.runtime.docker import objects
from testbed.runtime.docker.engine import in_parallel, refusals
from testbed.runtime.docker.overlays import VXLAN_BYTES

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime.docker.engine import DockerEngine

_PROJECT, _SERVICE, _NUMBER, _ONE_OFF, _NETWORK = (
    f"com.docker.compose.{name}" for name in ("project", "service", "container-number", "oneoff", "network")
)
_MTU = "com.docker.network.driver.mtu"
_DEFAULT_MTU = 1500
OVERLAY = "overlay"
_SHARED = "container:"
_MOUNTS = Path("/proc/self/mountinfo")


def discover(engine: DockerEngine, driver: str = "bridge") -> Present:
    """Return all containers of a Docker Engine, and the networks where their links can be impaired.

    Args:
        engine: which runs them.
        driver: of the networks: `bridge`, or `overlay` of a Swarm, of which only attachable ones are returned.

    Raises:
        LabError: `docker-refused`.
    """
    listed = engine.containers()
    networks = {each["Id"]: each for each in engine.networks()}
    if engine.is_podman:  # its list has no HostConfig, and gives a network's name as its id
        listed = in_parallel(partial(_with_host_options, engine), listed)
        networks |= {each["Name"]: each for each in networks.values()}
    subnets = {each["Name"]: subnet for each in networks.values() if (subnet := _subnet(each, driver))}
    names = {each["Id"]: objects.name_of(each) for each in listed}
    containers = {objects.name_of(each): _container(each, names, networks, subnets, driver) for each in listed}
    for name, each in containers.items():  # what shares a namespace is where its owner is
        owner = containers.get(each.namespace)
        if owner is not None and owner is not each and not each.problem:
            containers[name] = _like(each, owner)
    used: defaultdict[str, set[IPv4Address]] = defaultdict(set)
    for each in containers.values():
        for attachment in each.attachments:
            used[attachment.network].add(attachment.address)
    return Present(
        containers=containers,
        networks={
            each["Name"]: _network(each, subnets[each["Name"]], used[each["Name"]])
            for each in networks.values()
            if each["Name"] in subnets
        },
    )


def merged(found: Mapping[str, Present]) -> Present:
    """Return what several machines have as one: containers by machine and name, networks with all addresses."""
    networks: dict[str, PresentNetwork] = {}
    for network in (each for present in found.values() for each in present.networks.values()):
        used = networks.get(network.name, network).used
        networks[network.name] = replace(network, used=used | network.used)
    return Present(
        containers={
            placed(name, machine): replace(each, host=machine)
            for machine, present in found.items()
            for name, each in present.containers.items()
        },
        networks=networks,
    )


def _with_host_options(engine: DockerEngine, container: dict[str, Any]) -> dict[str, Any]:
    with refusals("container"):
        return container | {"HostConfig": engine.api.inspect_container(container["Id"])["HostConfig"]}


def _of_compose(labels: Mapping[str, str]) -> tuple[str, str, int]:
    """Return the project, service and number that compose gave a container; empty and 0 where it gave none."""
    if labels.get(_ONE_OFF) == "True" or not {_PROJECT, _SERVICE} <= labels.keys():
        return "", "", 0
    return labels[_PROJECT], labels[_SERVICE], int(labels.get(_NUMBER, "1"))


def identities(plan: Plan, present: Present, composed: Container[str] = ()) -> dict[str, ContainerIdentity]:
    """Return what identifies the attached containers of a plan, by node; they must still be as the plan says.

    Args:
        plan: of the lab.
        present: what the Docker Engine has.
        composed: nodes that are left out, because the lab brings them up.

    Raises:
        LabError: `container-changed`: one is not there, does not run, or is on other networks with other addresses.
    """
    found = {}
    networks = {network.name: network.present for network in plan.networks}
    for node in plan.nodes:
        if not node.container or node.name in composed:
            continue
        container = present.containers.get(node.container)
        if container is None or container.problem:
            problem = container.problem if container else "is not there any more"
            raise _changed(node, problem)
        there = {attachment.network: attachment for attachment in container.attachments}
        for interface in node.interfaces:
            attachment = there.get(networks[interface.network])
            if attachment is None:
                raise _changed(node, f"is not on network {networks[interface.network]}")
            if (str(attachment.address), attachment.mac) != (interface.address, interface.mac):
                has = f"{attachment.address} ({attachment.mac})"
                raise _changed(node, f"has {has} on {attachment.network}, not {interface.address} ({interface.mac})")
        found[node.name] = ContainerIdentity(
            name=container.name, project=container.project, service=container.service, number=container.number
        )
    return found


def own_project(engine: DockerEngine, mounts: Path = _MOUNTS) -> str:
    """Return the compose project of the container that this process runs in.

    Args:
        engine: which runs the container.
        mounts: this process's mounts (proc(5), mountinfo), among them files that the Docker Engine keeps in a directory
            with the container's id: /etc/hostname and /etc/hosts.

    Raises:
        UsageError: `no-project`.
    """
    found = re.search(r"/containers/([0-9a-f]{64})/", mounts.read_text("utf-8", "replace"))
    if found:
        with refusals("own container"), suppress(NotFound):
            labels = engine.api.inspect_container(found[1])["Config"]["Labels"] or {}
            if project := labels.get(_PROJECT):
                return str(project)
    raise UsageError(
        "no-project",
        "the file names no compose project, and this command runs in no container of one",
        "testbed attach PROJECT --file FILE, or compose: {project: PROJECT} in the file",
    )


def running(engine: DockerEngine, name: str) -> PresentNode:
    """Return any running container as a node to adopt, without its ports.

    Raises:
        UsageError: `unknown-container`, `container-not-running`.
    """
    with refusals(f"container {name}"):
        try:
            container = engine.api.inspect_container(name)
        except NotFound:
            message = f"there is no container {name!r}"
            raise UsageError("unknown-container", message, "docker ps lists those that run") from None
    state = container["State"]
    if not state["Running"] or state.get("Paused"):
        message = f"container {name} is {state['Status']}: nothing can be measured in it"
        raise UsageError("container-not-running", message, "start it, or unpause it")
    return PresentNode(
        name=name, container=container["Id"], pid=int(state["Pid"]), limited=False, interfaces=(), identity=None
    )


def require_free(plan: Plan, others: Iterable[Plan]) -> None:
    """Require that no other lab impairs the links to attached nodes of a plan.

    Raises:
        LabError: `port-in-use`, with the lab that does.
    """
    wanted = _impaired(plan)
    for other in others:
        for port, node in _impaired(other).items():
            if port in wanted:
                raise LabError(
                    "port-in-use",
                    f"lab {other.lab} impairs the links to container {node.container} on {port[0]} already",
                    f"testbed impair {other.lab} changes them, testbed detach {other.lab} gives them back",
                )


def _impaired(plan: Plan) -> dict[tuple[str, str], Node]:
    """The attached nodes that links lead to, by Docker network and MAC."""
    networks = {network.name: network.present for network in plan.networks}
    nodes = {node.name: node for node in plan.nodes}
    found = {}
    for link in plan.links:
        node = nodes.get(link.destination)
        if node and node.container:
            found[networks[link.network], node.on(link.network).mac] = node
    return found


def _changed(node: Node, said: str) -> LabError:
    return LabError(
        "container-changed",
        f"node {node.name}: container {node.container} {said}",
        "start it, and attach again: the plan is made from what runs then",
    )


def _container(
    each: Mapping[str, Any],
    names: Mapping[str, str],
    networks: Mapping[str, Mapping[str, Any]],
    subnets: Mapping[str, IPv4Network],
    driver: str,
) -> PresentContainer:
    mode = each["HostConfig"]["NetworkMode"]
    endpoints = {networks[end["NetworkID"]]["Name"]: end for end in _endpoints(each) if end["NetworkID"] in networks}
    attachments = tuple(
        PresentAttachment(network=name, address=IPv4Address(end["IPAddress"]), mac=end["MacAddress"])
        for name, end in endpoints.items()
        if name in subnets and end["IPAddress"]
    )
    project, service, number = _of_compose(each["Labels"])
    shared = mode.removeprefix(_SHARED) if mode.startswith(_SHARED) else ""
    problem = ""
    if objects.LAB in each["Labels"]:
        lab = each["Labels"][objects.LAB]
        problem = f"is of lab {lab}: testbed impair {lab} changes its links"
    elif each["State"] not in ("running", "paused"):
        problem = f"does not run: it is {each['State']}"
    elif mode == "host":
        problem = (
            "has the machine's own network (network_mode: host), so it has no port where its packets could be told "
            "from the machine's"
        )
    elif shared and shared not in names:
        problem = "shares the network namespace of a container that is gone"
    elif not shared and not attachments:
        kinds = ", ".join(sorted({f"{name} ({_kind(networks, name)})" for name in endpoints}))
        wanted = "attachable overlay network" if driver == OVERLAY else "bridge network"
        problem = f"is on no {wanted} with IPv4, which is where links are impaired: it is on {kinds or 'none'}"
    return PresentContainer(
        name=objects.name_of(each),
        project=project,
        service=service,
        number=number,
        attachments=attachments,
        namespace=names.get(shared, objects.name_of(each)),
        problem=problem,
    )


def _like(container: PresentContainer, owner: PresentContainer) -> PresentContainer:
    """A container that shares the network namespace of another."""
    problem = f"shares the network namespace of {owner.name}, which {owner.problem}" if owner.problem else ""
    return replace(container, attachments=owner.attachments, problem=problem)


def _endpoints(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(((container.get("NetworkSettings") or {}).get("Networks") or {}).values())


def _kind(networks: Mapping[str, Mapping[str, Any]], name: str) -> str:
    network = next(each for each in networks.values() if each["Name"] == name)
    shut = network["Driver"] == OVERLAY and not network["Attachable"]
    return f"{network['Driver']}{', made without --attachable' * shut}"


def _subnet(network: Mapping[str, Any], driver: str) -> IPv4Network | None:
    """The IPv4 subnet of a network, if its links can be impaired."""
    able = network["Driver"] == driver and (driver != OVERLAY or network["Attachable"])
    pools = network["IPAM"]["Config"] or () if able else ()
    return next((IPv4Network(pool["Subnet"]) for pool in pools if ":" not in pool["Subnet"]), None)


def _network(each: Mapping[str, Any], subnet: IPv4Network, used: set[IPv4Address]) -> PresentNetwork:
    pools = [pool for pool in each["IPAM"]["Config"] if ":" not in pool["Subnet"]]
    labels = each.get("Labels") or {}
    headers = VXLAN_BYTES if each["Driver"] == OVERLAY else 0
    return PresentNetwork(
        name=each["Name"],
        subnet=str(subnet),
        gateway=pools[0].get("Gateway") or _default_gateway(pools[0]),
        mtu=int((each.get("Options") or {}).get(_MTU, _DEFAULT_MTU)) - headers,
        internal=each["Internal"],
        project=labels.get(_PROJECT, ""),
        word=labels.get(_NETWORK, ""),
        used=frozenset(used),
    )


def _default_gateway(pool: Mapping[str, Any]) -> str:
    """The address that the Docker Engine gives the machine if none was chosen; older Engines do not list it."""
    subnet = IPv4Network(pool["Subnet"])
    first = IPv4Network(pool.get("IPRange") or subnet)[0]
    return str(first + 1 if first == subnet[0] else first)
