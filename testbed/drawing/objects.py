"""A plan's nodes, networks and links as JSON, for programs that draw or walk the network themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.plan.model import Link, Plan
    from testbed.plan.nodes import Network, Node


def render(plan: Plan) -> str:
    """Return the nodes, networks and links of a plan as one JSON object, with a newline at its end.

    Links are directions; of an uplink or downlink, one end is `*`. Their impairments are those that they have when a
    run begins, in words as `testbed impair --json` has them. `testbed show --json` has all else.
    """
    groups = {node: group.name for group in plan.groups for node in group.nodes}
    found = {
        "name": plan.topology,
        "description": plan.description,
        "networks": [*map(_network, plan.networks)],
        "nodes": [_node(node) | {"group": groups.get(node.name)} for node in plan.ends],
        "links": [*map(_link, plan.links)],
    }
    return json.dumps(found, indent=2) + "\n"


def _network(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        "subnets": [*map(str, network.subnets.values())],
        "wire": network.wire,
        "internal": network.internal,
        "mtu": network.mtu,
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "router": node.router is not None,
        "addresses": {interface.network: [*interface.addresses] for interface in node.interfaces},
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "from": link.source,
        "to": link.destination,
        "network": link.network,
        "match": None if link.match is None else str(link.match),
        "impairments": [*link.impairments.descriptions()],
    }
