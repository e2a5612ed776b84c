"""Where podman, through its Docker-compatible socket, can't take the Docker Engine's place, and why.

Smaller differences are mended where they occur (`DockerEngine.is_podman`); README.md beside this file lists all of
them. All of it is of podman 4.3, the one in Debian 12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.agent import messages
from testbed.errors import LabError, MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node

COMPONENT = "Podman Engine"
"""Its name among the components in the answer to `GET /version`, where the Docker Engine's is `Engine`."""


def require_root(info: Mapping[str, Any], description: str) -> None:
    """Refuse a podman that runs without root.

    Its bridges are in a network namespace of its own (`podman unshare --rootless-netns`). A container on the "host"
    network, as the agent is, gets the user's namespace instead, where no port of the lab exists.

    Args:
        info: what podman tells of itself.
        description: its version.

    Raises:
        MachineError: `podman-rootless`.
    """
    if info.get("Rootless"):
        raise MachineError(
            "podman-rootless",
            f"{description}: it runs without root, so its bridges are in a network namespace of its own, "
            "out of the agent's reach",
            "use --runtime netns, which needs no root, or podman of root: "
            "sudo podman system service --time=0 unix:///run/podman/podman.sock",
        )


def hosts_entries(plan: Plan, node: Node) -> list[str]:
    """Return the names and addresses of the other nodes on a node's networks, for its /etc/hosts.

    podman has no DNS of its own: it resolves names only where aardvark-dns, or dnsname for CNI, is installed as well.
    """
    mine = {interface.network for interface in node.interfaces}
    return [
        f"{other.name}:{shared[0]}"
        for other in plan.nodes
        if other is not node and (shared := [each.address for each in other.interfaces if each.network in mine])
    ]


def require_bridging(info: Mapping[str, Any], agent: Agent, plan: Plan) -> None:
    """Refuse a lab whose internal networks carry nothing because the machine's firewall drops their packets.

    With br_netfilter, packets between two ports of a bridge pass iptables' FORWARD chain. podman's netavark adds no
    rule for an internal network, and a Docker Engine beside it sets the chain's policy to DROP. Only a trial tells.

    Args:
        info: what podman tells of itself and its machine.
        agent: of the lab, which has no links yet.
        plan: of the lab.

    Raises:
        LabError: `bridge-filtered`.
    """
    if not info.get("BridgeNfIptables"):
        return
    for network in plan.networks:
        attached = [
            (node.name, interface.addresses[0])
            for node in plan.nodes
            for interface in node.interfaces
            if interface.network == network.name
        ]
        if network.internal and len(attached) > 1:
            (node, _), (other, address), *_ = attached
            if not agent.call(messages.Reaches(node=node, address=address)):
                raise LabError(
                    "bridge-filtered",
                    f"{node} can't reach {other} on network {network.name}: this machine's firewall drops packets "
                    "between containers of podman (net.bridge.bridge-nf-call-iptables is 1)",
                    "let them pass, iptables -I FORWARD -i podman+ -o podman+ -j ACCEPT; "
                    "a Docker Engine on the same machine makes this necessary",
                )
            return  # the firewall treats all bridges of podman alike
