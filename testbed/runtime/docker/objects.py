"""Containers and networks of a lab: created from the plan, and found by their labels."""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from docker.types import IPAMConfig, IPAMPool, NetworkingConfig

from testbed import __version__
from testbed.errors import LabError, MachineError
from testbed.runtime import failures, node_settings
from testbed.runtime.docker import builds, clocks, macs, podman, services
from testbed.runtime.docker.engine import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from ipaddress import IPv4Network

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network, Node
    from testbed.runtime.docker.engine import DockerEngine

OWN_IMAGE = "testbed:latest"
"""The image of nodes that name none, and of the agent if it runs in a container. It idles until it is stopped."""

LAB, NODE, NETWORK, AGENT, GUARDIAN, ANCHOR, VERSION = (
    "testbed.lab",
    "testbed.node",
    "testbed.network",
    "testbed.agent",
    "testbed.guardian",
    "testbed.anchor",
    "testbed.version",
)

_BUILT_HERE = re.compile(r"testbed(-[a-z0-9-]+)?(:|$)")
"""Images that `testbed images` builds. They are never pulled: one of such a name in a registry is another."""

_OVERLAPS = ("overlap", "already used on the host or by another config")
"""In what the Docker Engine, and what podman, says of a subnet that is taken."""

_DEFAULT_NETWORK = "bridge"
"""There containers have no names."""


def network_name(lab: str, network: str) -> str:
    """Return the name of a network in the Docker Engine."""
    return f"testbed-{lab}-{network}"


def container_name(lab: str, node: str) -> str:
    """Return the name of a node's container in the Docker Engine."""
    return f"testbed-{lab}-{node}"


def labels(lab: str, kind: str, name: str) -> dict[str, str]:
    """The labels by which an object is found again."""
    return {LAB: lab, kind: name, VERSION: __version__}


def ensure_image(engine: DockerEngine, image: str, platform: str = "", *, may_pull: bool = True) -> None:
    """Pull an image, unless it is present.

    Raises:
        MachineError: `image-missing`, `image-unavailable`.
    """
    if builds.is_present(engine, image):
        return
    if _BUILT_HERE.match(image):
        hint = "testbed images builds it"
        raise MachineError("image-missing", f"{image}, an image of testbed's own, is missing", hint)
    if not may_pull:
        hint = f"docker pull {image}, docker load, or leave its pull_policy out"
        raise MachineError("image-missing", f"image {image} is missing, and pull_policy is never", hint)
    builds.pull(engine, image, platform)


def name_of(container: Mapping[str, Any]) -> str:
    """Return the name of a listed container; further names, with a slash inside, are links of other containers."""
    return next(str(name).removeprefix("/") for name in container["Names"] if name.count("/") == 1)


def nodes_of(engine: DockerEngine, lab: str, attached: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the containers of a lab's nodes, running or not, by node.

    Args:
        engine: the Docker Engine of the lab.
        lab: its name.
        attached: names of containers that the lab did not make, by node.
    """
    found = {each["Labels"][NODE]: each for each in engine.containers(lab=lab, node=None)}
    if attached:
        by_name = {name_of(each): each for each in engine.containers()}
        found |= {node: by_name[name] for node, name in attached.items() if name in by_name}
    return found


def images(engine: DockerEngine, containers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the digests of the images of nodes by name, or the id of an image that is in no registry.

    They come from the containers, because a name may refer to another image by now.
    """
    used = {container["Image"]: container["ImageID"] for container in containers.values()}
    identities = {}
    for name, identity in used.items():
        with refusals(f"image {name}"):
            described = engine.api.inspect_image(identity)  # type: ignore[no-untyped-call]
        digests = sorted(reference.rpartition("@")[2] for reference in described.get("RepoDigests") or ())
        identities[name] = digests[0] if digests else identity
    return identities


def create_network(engine: DockerEngine, lab: str, network: Network) -> None:
    """Create a network as a bridge.

    The machine has no address on an internal one: Docker's own rules are about forwarded packets only, and let nodes
    reach every address of the machine, with all that listens there.

    Raises:
        LabError: `subnet-taken`, another network has some of its addresses; `docker-refused`.
    """
    # Older Docker Engines have no network without IPv4: nodes lose the addresses of the subnet that it then chooses.
    pools = [IPAMPool(subnet=network.subnet, gateway=network.gateway)] if network.subnet else []
    options = {"com.docker.network.driver.mtu": str(network.mtu)}
    if network.internal and not engine.is_podman:  # which has no such option
        options["com.docker.network.bridge.inhibit_ipv4"] = "true"
    try:
        with refusals(f"network {network.name}"):
            engine.api.create_network(
                network_name(lab, network.name),
                driver="bridge",
                ipam=IPAMConfig(pool_configs=pools),
                options=options,
                internal=network.internal,
                check_duplicate=True,
                labels=labels(lab, NETWORK, network.name),
            )
    except LabError as error:
        raise subnet_taken(network, error) from None


def subnet_taken(network: Network, error: LabError) -> LabError:
    """Return the error that another network has addresses of a network, if an error says that; else the same error."""
    if not any(words in error.message.lower() for words in _OVERLAPS):
        return error
    return LabError(
        "subnet-taken",
        f"network {network.name}: {network.subnet} overlaps with another of the Docker Engine's networks",
        "leave out the subnet to get a free one; docker network ls lists the networks",
    )


def create_node(engine: DockerEngine, plan: Plan, node: Node, image: str, hosts: Sequence[tuple[str, str]]) -> str:
    """Create a node's container, attached to its networks but not running, and return its id.

    Args:
        engine: the Docker Engine.
        plan: of the lab.
        node: the node.
        image: what the container is made from.
        hosts: names and addresses of nodes that its networks' DNS does not know.

    Raises:
        LabError: `docker-refused`.
    """
    api = engine.api
    endpoints = {}
    for interface in node.interfaces:
        known = next(each for each in plan.networks if each.name == interface.network)
        if known.wire:
            continue
        present = known.present
        name = present or network_name(plan.lab, interface.network)
        endpoints[name] = api.create_endpoint_config(
            aliases=None if name == _DEFAULT_NETWORK else [node.name],
            # On networks of others the Docker Engine chooses: where it chose the subnet, it takes no address from us.
            ipv4_address=None if present else interface.address or None,
            mac_address=None if present else interface.mac,
        )
    first, *others = endpoints or ["none"]
    # Older Docker Engines give interfaces the MACs that derive from their addresses by themselves. With podman, an
    # interface that is connected later would get a random one.
    one_first = bool(endpoints) and macs.attaches_one(engine)
    at_once = {first: endpoints[first]} if one_first else endpoints
    host_options = services.host_options(plan, node, hosts)
    if engine.is_podman:
        entries = [] if node.has_ipv6 else podman.hosts_entries(plan, node)
        host_options["extra_hosts"] = [*(host_options["extra_hosts"] or ()), *entries]
    with refusals(f"node {node.name}"):
        container: str = api.create_container(
            image,
            command=list(node.command) or None,
            name=container_name(plan.lab, node.name),
            environment=clocks.environment(plan, node),
            mac_address=macs.of_container(plan, node) if one_first else None,
            labels=services.labels(node) | labels(plan.lab, NODE, node.name),
            **services.container_options(node),
            networking_config=NetworkingConfig(at_once),  # type: ignore[arg-type]  # the stub is wrong
            host_config=api.create_host_config(
                network_mode=first,
                nano_cpus=node.cpus_milli * 1_000_000 or None,
                mem_limit=node.memory_bytes or None,
                sysctls=node_settings.sysctls(node),
                **host_options,
            ),
        )["Id"]
        for network in others:
            if network not in at_once:
                options = endpoints[network]
                address = (options.get("IPAMConfig") or {}).get("IPv4Address")
                aliases = options.get("Aliases")
                api.connect_container_to_network(container, network, aliases=aliases, ipv4_address=address)
    if node.name in plan.clocked:
        clocks.install(engine, node.name, container)
    return container


def addresses(engine: DockerEngine, container: str) -> dict[str, tuple[str, str]]:
    """Return the address and MAC of a running container by Docker network."""
    with refusals(f"container {container}"):
        found = engine.api.inspect_container(container)["NetworkSettings"]["Networks"]
    return {name: (each["IPAddress"], each["MacAddress"]) for name, each in found.items()}


def require_running(
    engine: DockerEngine,
    containers: Mapping[str, Mapping[str, Any]],
    by_faults: Callable[[], tuple[Collection[str], Collection[str]]],
    *,
    since: str = "",
    restarting: bool = True,
    may_fail: Collection[str] = (),
) -> dict[str, str]:
    """See `testbed.runtime.Runtime`.

    Args:
        engine: the Docker Engine of the lab.
        containers: of its nodes, as they are listed, by node.
        by_faults: returns the nodes that faults keep from running, and those that faults have paused.
        since: when a node must not have been paused, a time of the Docker Engine's clock.
        restarting: a container that the Docker Engine is about to start again, by its `restart`, counts as running.
        may_fail: the nodes whose programs may have ended.
    """
    ended: dict[str, str] = {}
    for node, container in containers.items():
        identity, state = container["Id"], container["State"]
        if state == "created" and NODE in container["Labels"]:
            continue  # the lab is coming up
        if state == "running" or (restarting and state == "restarting") or node in by_faults()[0]:
            continue
        with refusals(f"node {node}"):
            found = engine.api.inspect_container(identity)["State"]
        if found["Running"] and not found["Paused"]:
            continue  # a fault has just ended
        if state == "paused":
            raise _paused(node, container, now=True)
        if node not in may_fail:
            raise failures.exited(node, found["ExitCode"], engine.log_tail(identity))
        ended[node] = f"status {found['ExitCode']}"
    if since and containers:
        nodes = {container["Id"]: node for node, container in containers.items()}
        wanted = {"type": "container", "event": "pause", "container": list(nodes)}
        times: Any = {"since": since, "until": moment(engine)}  # as text, which has fractions of seconds
        with refusals("events"):
            for event in engine.api.events(**times, filters=wanted, decode=True):
                node = nodes[event["Actor"]["ID"]]
                if node not in by_faults()[1]:
                    raise _paused(node, containers[node], now=False)
    return ended


def moment(engine: DockerEngine) -> str:
    """Return the time of the Docker Engine's clock for its event filter: seconds since 1970 as a decimal."""
    return f"{datetime.fromisoformat(engine.info()['SystemTime']).timestamp():.6f}"


def _paused(node: str, container: Mapping[str, Any], *, now: bool) -> LabError:
    return failures.paused(node, now=now, remedy=f"docker unpause {name_of(container)}")


def subnets(engine: DockerEngine) -> Iterable[IPv4Network]:
    """Yield the IPv4 subnets of all networks of the Docker Engine."""
    for network in engine.networks():
        for pool in network["IPAM"]["Config"] or ():
            subnet = ip_network(pool["Subnet"])
            if subnet.version == 4:  # noqa: PLR2004
                yield subnet
