"""How networks of namespaces reach other machines (`internal: false`), and whether this machine can do that."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.errors import MachineError
from testbed.plan import addresses
from testbed.plan.forwarding import installed
from testbed.plan.routes import DEFAULT
from testbed.runtime import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network, Node
    from testbed.services import PublishedPort

_DOCKER = "use --runtime docker on a machine with a Docker Engine"


def _leads_out(network: Network) -> bool:
    return not network.internal and not network.present and not network.wire


def leads_out(plan: Plan) -> bool:
    """Whether a network that the lab makes leads out of it."""
    return any(map(_leads_out, plan.networks))


def of(plan: Plan, node: Node) -> Network | None:
    """Return the first of a node's networks that leads out; None if all are internal."""
    leading = {network.name: network for network in plan.networks if _leads_out(network)}
    return next((leading[at.network] for at in node.interfaces if at.network in leading), None)


def require(plan: Plan) -> None:
    """Require that this user can lead networks out.

    Raises:
        MachineError: `needs-root`; `no-way-out`, a link leads out of namespaces of others.
    """
    own = {network.name for network in plan.networks if _leads_out(network)}
    for key in plan.all_impairments():
        if key.is_outside and key.network not in own:
            message = f"link {key} leads out of namespaces that are there already, whose way out is not the lab's"
            raise MachineError("no-way-out", message, "make the nodes part of the lab, or use containers")
    if own and os.geteuid() != 0:
        name = min(own)
        raise MachineError(
            "needs-root",
            f"network {name} has internal: false, and only root can connect a lab's network with this machine's",
            f"use sudo; or {_DOCKER}; or leave internal: false of network {name} out, if nodes need nothing outside",
            path=("networks", name, "internal"),
        )


def gateway(network: Network) -> messages.NewGateway | None:
    """Return what this machine has on a network that the agent makes; None on an internal one."""
    if not _leads_out(network):
        return None
    return messages.NewGateway(
        address=network.gateway,
        prefix_length=IPv4Network(network.subnet).prefixlen,
        mac=addresses.mac(IPv4Address(network.gateway)),
    )


def default_routes(plan: Plan, node: Node) -> Iterator[messages.NewRoute]:
    """Yield the route of a node to all beyond this machine, unless the file gives it another default route."""
    network = of(plan, node)
    if network and not any(DEFAULT in route.to for route in installed(node)):
        yield messages.NewRoute(to=DEFAULT, via=network.gateway)


def publications(plan: Plan) -> Iterator[messages.Publication]:
    """Yield the ports that nodes publish; the file has them only where a network of the node's leads out."""
    for node in plan.nodes:
        if network := of(plan, node):
            for port in node.service.ports:
                yield messages.Publication(node=node.name, address=node.on(network.name).address, port=port)


def require_ports(plan: Plan, published: Callable[[], Iterable[tuple[str, PublishedPort]]]) -> None:
    """Require that the ports are free that nodes publish.

    Args:
        plan: of the lab.
        published: gives the ports of other labs, with the lab's name.

    Raises:
        LabError: `port-in-use`, with the lab or the program that has it.
    """
    for publication in publications(plan):
        port = publication.port
        kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as trial:
            try:
                trial.bind((port.host_address or "0.0.0.0", port.host_port))  # noqa: S104  # as the file says
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    continue  # the agent says what the kernel refuses
            else:
                continue
        lab = next((lab for lab, other in published() if other.is_same(port)), "")
        raise ports.in_use(publication.node, port, f"lab {lab}" if lab else ports.holder_of(port))
