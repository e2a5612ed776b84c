"""Overlay networks of a Docker Swarm, which connect the nodes of several machines.

On each machine where a container is on it, an overlay network has a network namespace of its own, its sandbox, with a
bridge; the port of a container is there. An anchor, an idle container of the lab, is on all networks of a machine, so
that their sandboxes are there before the nodes, and stay while a node restarts: a new one would have ports that no
agent knows.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from docker.types import IPAMConfig, IPAMPool

from testbed.errors import LabError, MachineError
from testbed.runtime.docker import objects
from testbed.runtime.docker.engine import patiently, refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network
    from testbed.runtime.docker.engine import DockerEngine

VXLAN_BYTES = 50
"""What the driver subtracts from its option `mtu`, for its headers (RFC 7348, section 5)."""


def create(engine: DockerEngine, plan: Plan, network: Network, machines: int) -> None:
    """Create an overlay network.

    Args:
        engine: a manager of the Swarm.
        plan: of the lab.
        network: the network.
        machines: how many machines the Swarm has; each takes an address for its load balancer, and one for an anchor.

    Raises:
        MachineError: `subnet-too-small`.
        LabError: `subnet-taken`; `docker-refused`.
    """
    own = reserved(plan, network, 2 * machines)
    pool = IPAMPool(subnet=network.subnet, gateway=network.gateway, iprange=str(own))
    try:
        with refusals(f"network {network.name}"):
            engine.api.create_network(
                objects.network_name(plan.lab, network.name),
                driver="overlay",
                scope="swarm",
                attachable=True,
                internal=True,
                ipam=IPAMConfig(pool_configs=[pool]),
                options={"com.docker.network.driver.mtu": str(network.mtu + VXLAN_BYTES)},
                labels=objects.labels(plan.lab, objects.NETWORK, network.name),
            )
    except LabError as error:
        raise objects.subnet_taken(network, error) from None


def reserved(plan: Plan, network: Network, count: int) -> IPv4Network:
    """Return addresses of a network's subnet that no node has, from which the Docker Engine takes its own.

    Raises:
        MachineError: `subnet-too-small`.
    """
    subnet = IPv4Network(network.subnet)
    interfaces = [each for node in plan.nodes for each in node.interfaces if each.network == network.name]
    used = [
        subnet.network_address,
        *(IPv4Address(text) for text in (network.gateway, *(at.address for at in interfaces))),
    ]
    # The broadcast address is in the last part, which has room for one address less.
    length = subnet.max_prefixlen - count.bit_length()
    if length > subnet.prefixlen:
        for part in reversed(list(subnet.subnets(new_prefix=length))):
            if not any(address in part for address in used):
                return part
    raise MachineError(
        "subnet-too-small",
        f"network {network.name}: {network.subnet} has no {count} free addresses in a row for the Docker Engines",
        "give a larger subnet, or none to have a free one chosen",
    )


def anchor(engine: DockerEngine, lab: str, networks: Sequence[str]) -> str:
    """Put an anchor on networks, and return the directory where the machine's sandboxes are.

    Args:
        engine: of the machine.
        lab: whose anchor it is.
        networks: at least one, by the Docker Engine's names.

    Raises:
        LabError: `docker-refused`.
    """
    first, *others = networks
    with refusals("anchor"):
        container = engine.api.create_container(
            objects.OWN_IMAGE,
            name=_anchor_name(lab),
            labels=objects.labels(lab, objects.ANCHOR, "1"),
            host_config=engine.api.create_host_config(network_mode=first, cap_drop=["ALL"]),
        )["Id"]
        for network in others:
            engine.api.connect_container_to_network(container, network)
        patiently(engine.api.start, container)
        settings = engine.api.inspect_container(container)["NetworkSettings"]
    return str(PurePosixPath(settings["SandboxKey"]).parent)


class Anchored(NamedTuple):
    """Where the anchor of a lab is on a machine.

    Attributes:
        sandbox: name of its network namespace in the directory of sandboxes.
        addresses: its own, by the Docker Engine's names of networks.
    """

    sandbox: str
    addresses: Mapping[str, str]


def anchored(engine: DockerEngine, lab: str) -> Anchored:
    """Return where the anchor of a lab is.

    Raises:
        LabError: `docker-refused`.
    """
    with refusals("anchor"):
        settings = engine.api.inspect_container(_anchor_name(lab))["NetworkSettings"]
    addresses = {name: str(end["IPAddress"]) for name, end in settings["Networks"].items()}
    return Anchored(PurePosixPath(settings["SandboxKey"]).name, addresses)


def _anchor_name(lab: str) -> str:
    return f"testbed-{lab}.anchor"
