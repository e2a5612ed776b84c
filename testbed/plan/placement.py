"""Placement of nodes on several machines, and what follows from there being several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import UsageError

if TYPE_CHECKING:
    from testbed.topology.models import Topology
    from testbed.topology.networks import NetworkKeys

SWARM = "swarm"
"""The runtime of nodes on several machines."""

OVERLAY_MTU = 1450
"""Bytes of an IP packet that fits, with the 50 bytes of VXLAN around it (RFC 7348, section 5), into one of 1500."""


def hosts_of_nodes(topology: Topology) -> dict[str, str]:
    """Return the machine of each node: the one that the file gives, else that with the fewest nodes so far.

    Among several with the fewest it is the first in the order of the file. Without hosts, the result is empty.
    """
    if not topology.hosts:
        return {}
    given = {name: node.host for name, node in topology.nodes.items() if node.host}
    counts = dict.fromkeys(topology.hosts, 0)
    for host in given.values():
        counts[host] += 1
    for name in topology.nodes:
        if name not in given:
            given[name] = min(counts, key=counts.__getitem__)
            counts[given[name]] += 1
    return given


def runtime(topology: Topology, asked: str) -> str:
    """Return the runtime of a topology.

    Raises:
        UsageError: `contradiction`: it has hosts, and `asked` has no containers.
    """
    if not topology.hosts:
        return asked
    if asked == "netns":
        said = f"{topology.name} has nodes on several machines, which are containers, and --runtime is netns"
        raise UsageError("contradiction", said, "leave --runtime out, or hosts out of the file")
    return SWARM


def mtu(topology: Topology, network: NetworkKeys) -> int:
    """Return the largest IP packet of a network, bytes: by default one that fits between machines without fragments."""
    return OVERLAY_MTU if topology.hosts and "mtu" not in network.model_fields_set else network.mtu
