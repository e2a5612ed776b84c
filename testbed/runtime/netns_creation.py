"""What the agent of the netns runtime makes for a plan: networks, nodes, and ways out of the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.runtime import name_servers, netns_services, node_settings, ways_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.plan.model import Plan


def creation(plan: Plan, directory: Path) -> messages.Create:
    """Return the call by which the agent makes the networks and nodes of a plan.

    Args:
        plan: of the lab.
        directory: of the lab, which has files that nodes see.
    """
    others = netns_services.Others(plan, node_settings.all_paths(plan))
    return messages.Create(
        nodes=tuple(_new_nodes(plan, directory, others)),
        others=tuple(others.texts),
        networks=tuple(
            messages.NewNetwork(name=network.name, mtu=network.mtu, gateway=ways_out.gateway(network))
            for network in plan.networks
        ),
        publications=tuple(ways_out.publications(plan)),
        name_server=name_servers.on_loopback() if ways_out.leads_out(plan) else "",
    )


def _new_nodes(plan: Plan, directory: Path, others: netns_services.Others) -> Iterator[messages.NewNode]:
    routes = node_settings.routes(plan)
    networks = {network.name for network in plan.networks}
    for node in plan.nodes:
        yield messages.NewNode(
            name=node.name,
            sysctls=node_settings.sysctls(node),
            environment=netns_services.environment(plan, node, directory),
            directory=node.service.working_dir or plan.directory,
            hosts=netns_services.hosts(node),
            others=others.of(node),
            surroundings=netns_services.surroundings(plan, node, directory),
            interfaces=node_settings.interfaces(node, networks),
            routes=(*routes[node.name], *ways_out.default_routes(plan, node)),
            packet_filter=node_settings.packet_filter(plan, node),
        )
