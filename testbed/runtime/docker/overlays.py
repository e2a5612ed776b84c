"""Overlay networks of a Docker Swarm, which connect the nodes of several machines.

On each machine where a container is on it, an overlay network has a network namespace of its own, its sandbox, with a
bridge; the port of a container is there. An anchor, an idle container of the lab, is on all networks of a machine, so
that their sandboxes are there before the nodes, and stay while a node restarts: a new one would have ports that no
agent knows.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from testbed.errors import LabError, MachineError
from testbed.plan import addresses
from testbed.runtime.docker import objects, removal
from testbed.runtime.docker.engine import anew, patiently, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network, Node
    from testbed.runtime.docker.engine import DockerEngine

    _Result = TypeVar("_Result")

_CHOICE_SECONDS, _POLL_SECONDS = 60, 0.05

_TAKEN_FOR_DONE = "attaching to network failed"
"""In what the Docker Engine says of an attachment that it has asked the Swarm for, and that did not come in time."""

VXLAN_BYTES = 50
"""What the driver subtracts from its option `mtu`, for its headers (RFC 7348, section 5)."""


def create(engine: DockerEngine, plan: Plan, network: Network, machines: int) -> None:
    """Create an overlay network.

    Without IPv4 in the plan it gets a subnet of the Swarm's own pool, see `with_unseen`.

    Args:
        engine: a manager of the Swarm.
        plan: of the lab.
        network: the network.
        machines: how many machines the Swarm has; each takes an address for its load balancer, and one for an anchor.

    Raises:
        MachineError: `subnet-too-small`.
        LabError: `subnet-taken`; `docker-refused`.
    """
    pools = []
    if network.subnet:
        own = reserved(plan, network, 2 * machines)
        pools.append(IPAMPool(subnet=network.subnet, gateway=network.gateway, iprange=str(own)))
    name = objects.network_name(plan.lab, network.name)
    make = partial(
        engine.api.create_network,
        name,
        driver="overlay",
        scope="swarm",
        attachable=True,
        internal=True,
        ipam=IPAMConfig(pool_configs=pools),
        options={"com.docker.network.driver.mtu": str(network.mtu + VXLAN_BYTES)},
        labels=objects.labels(plan.lab, objects.NETWORK, network.name),
    )
    try:
        with refusals(f"network {network.name}"):
            anew(make, partial(removal.remove_network, engine, plan.lab, name))
    except LabError as error:
        raise objects.subnet_taken(network, error) from None


def with_unseen(engine: DockerEngine, plan: Plan) -> tuple[Plan, Mapping[tuple[str, str], str]]:
    """Choose IPv4 addresses on overlay networks that have none in the plan.

    The driver knows nodes by these, and derives their MACs from them. Nodes don't see them: the agent takes them away.
    They are the last ones of a subnet, because the Docker Engine takes its own from the first ones on.

    Args:
        engine: a manager of the Swarm.
        plan: of the lab, whose networks are there.

    Returns:
        The plan with the MACs of nodes, and the addresses by names of node and network.

    Raises:
        LabError: `docker-refused`; `no-subnet`; `subnet-too-small`.
    """
    unseen: dict[tuple[str, str], str] = {}
    for network in plan.networks:
        if not (network.subnet or network.wire or network.present):
            subnet = _chosen_subnet(engine, plan.lab, network.name)
            on = [node.name for node in plan.nodes if any(at.network == network.name for at in node.interfaces)]
            if len(on) > subnet.num_addresses // 2:
                said = f"network {network.name}: {len(on)} nodes are too many for {subnet}, which the Swarm gave it"
                hint = "use ip: both, or docker swarm init --default-addr-pool-mask-length with a smaller number"
                raise LabError("subnet-too-small", said, hint)
            last = subnet.num_addresses - 2
            unseen |= {(name, network.name): str(subnet[last - place]) for place, name in enumerate(on)}
    return replace(plan, nodes=tuple(_with_macs(node, unseen) for node in plan.nodes)), unseen


def given_unseen(node: Node, unseen: Mapping[tuple[str, str], str]) -> Node:
    """Return a node as its container is to be made: with the IPv4 addresses that it does not see."""
    return replace(
        node,
        interfaces=tuple(
            replace(each, address=each.address or unseen.get((node.name, each.network), "")) for each in node.interfaces
        ),
    )


def _with_macs(node: Node, unseen: Mapping[tuple[str, str], str]) -> Node:
    macs = {
        each.network: addresses.mac(IPv4Address(unseen[node.name, each.network]))
        for each in node.interfaces
        if (node.name, each.network) in unseen and not each.given_mac
    }
    interfaces = (replace(each, mac=macs.get(each.network, each.mac)) for each in node.interfaces)
    return replace(node, interfaces=tuple(interfaces))


def _chosen_subnet(engine: DockerEngine, lab: str, network: str) -> IPv4Network:
    """Return the subnet that the Swarm chose for a network, which it does a moment after the network was made.

    Raises:
        LabError: `docker-refused`; `no-subnet`.
    """
    deadline = time.monotonic() + _CHOICE_SECONDS
    while True:
        with refusals(f"network {network}"):
            described = patiently(engine.api.inspect_network, objects.network_name(lab, network))
            found = described["IPAM"]["Config"]
        if found:
            return IPv4Network(found[0]["Subnet"])
        if time.monotonic() > deadline:
            said = f"network {network}: the Swarm gave it no subnet within {_CHOICE_SECONDS} s"
            raise LabError("no-subnet", said, "docker network inspect, and the log of the Swarm's manager, may say why")
        time.sleep(_POLL_SECONDS)


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


def made(engine: DockerEngine, container: str, make: Callable[[], _Result]) -> _Result:
    """Make and start a container on overlay networks, anew while the Swarm is too busy to attach it.

    The Docker Engine gives the Swarm 20 s for that. After it, the same container can't be started any more: the engine
    takes the attachment for done, without the addresses that the Swarm has not given. Trying to start it makes the
    engine let go of that. If it does not before the Swarm's answer comes, it waits forever for somebody to take that,
    and the Swarm keeps the network (`AttachNetwork` and `UpdateAttachment` in Moby's daemon/cluster/networks.go,
    `findAndAttachNetwork` in daemon/container_operations.go).

    Args:
        engine: of the machine.
        container: its name.
        make: makes and starts it, which it tries once.

    Raises:
        LabError: `docker-refused`; what `make` raises.
    """

    def make_or_let_go() -> _Result:
        try:
            return make()
        except (APIError, LabError) as error:
            if _TAKEN_FOR_DONE in str(error):
                with suppress(APIError):
                    engine.api.start(container)
            raise

    return anew(make_or_let_go, partial(removal.remove_container, engine, container))


def anchor(engine: DockerEngine, lab: str, networks: Sequence[str]) -> str:
    """Put an anchor on networks, and return the directory where the machine's sandboxes are.

    Args:
        engine: of the machine.
        lab: whose anchor it is.
        networks: at least one, by the Docker Engine's names.

    Raises:
        LabError: `docker-refused`.
    """
    with refusals("anchor"):
        settings = made(engine, _anchor_name(lab), partial(_make_anchor, engine, lab, networks))
    return str(PurePosixPath(settings["SandboxKey"]).parent)


def _make_anchor(engine: DockerEngine, lab: str, networks: Sequence[str]) -> dict[str, Any]:
    """Make and start an anchor, and return its `NetworkSettings`."""
    first, *others = networks
    container = engine.api.create_container(
        objects.OWN_IMAGE,
        name=_anchor_name(lab),
        labels=objects.labels(lab, objects.ANCHOR, "1"),
        host_config=engine.api.create_host_config(network_mode=first, cap_drop=["ALL"]),
    )["Id"]
    for network in others:
        engine.api.connect_container_to_network(container, network)
    engine.api.start(container)
    settings: dict[str, Any] = engine.api.inspect_container(container)["NetworkSettings"]
    return settings


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
