"""Describes the problems of a lab's ports in sentences: what keeps nodes from their networks, and new ports."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import RouteSocket
from testbed.errors import TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testbed.agent.new_ports import NewPort
    from testbed.agent.ports import DeviceKey, Port
    from testbed.agent.wiring import Wiring

_MOST_MACS = 64
"""MACs of a node at one port that are followed."""


def problems(
    wiring: Wiring, new: Mapping[DeviceKey, NewPort], returned: Collection[tuple[str, str]], absent: Collection[str]
) -> list[str]:
    """What keeps the lab from doing what the file says.

    Args:
        wiring: the nodes and ports of the lab.
        new: ports of which it is not known yet whose they are.
        returned: places, by node and network, whose ports are others than at first.
        absent: nodes that have left, or that a fault has switched off, which is no problem.
    """
    nodes = {name: node for name, node in wiring.nodes.items() if name not in absent}
    found = [f"node {name} does not run: {node.end}" for name, node in nodes.items() if node.has_ended]
    found += [
        f"{reason}; "
        + (
            "its links work again as soon as it is back"
            if wiring.ports[node, network].bridge
            else "a new cable is another one: detach, and attach again"
        )
        for (node, network), reason in wiring.gone.items()
        if node in nodes and not nodes[node].has_ended
    ]
    found += [
        f"the links of {port} do not work yet{': ' * bool(each.failure)}{each.failure}"
        for key, each in new.items()
        if (port := wiring.port_at(key))
    ]
    for place in sorted({*returned} - wiring.gone.keys()):
        found += _readdressed(wiring.ports[place], wiring)
    for port in wiring.ports.values():
        if sends_with_too_many(port, wiring):
            found.append(f"node {port} sends with more than {_MOST_MACS} MACs; packets of further ones are dropped")
    return found


def closed_ports(wiring: Wiring, new: Mapping[DeviceKey, NewPort]) -> list[str]:
    """The ports of the lab's networks that belong to no node, and pass nothing."""
    return [
        f"{each.name}, a port of network {each.network}, "
        + (f"passes nothing: {each.failure}" if each.failure else "is no node's: nothing passes to it")
        for key, each in new.items()
        if each.closed and not each.is_starting and not wiring.port_at(key)
    ]


def sends_with_too_many(port: Port, wiring: Wiring) -> bool:
    """Whether a node sends with so many MACs at a port that further ones are not followed."""
    return sum(node == port.node for node in wiring.senders[port.network].values()) >= _MOST_MACS


def addresses(port: Port, wiring: Wiring) -> list[str]:
    """The IPv4 addresses that a node's interface has.

    Raises:
        LabError: the node has ended.
        OSError: its interface has gone.
    """
    with namespaces.inside(wiring.node(port.node).network), RouteSocket() as route:
        own = switch.named(route, port.interface).index
        return [address for index, address, _ in switch.ipv4_addresses(route) if index == own]


def _readdressed(port: Port, wiring: Wiring) -> list[str]:
    """What is wrong with the address that a node has after it came back."""
    with suppress(TestbedError, OSError):
        found = addresses(port, wiring)
        if port.address and port.address not in found:
            has = ", ".join(found) or "no address"
            return [f"node {port} has {has}, the plan says {port.address}: docker network connect --ip gives it that"]
    return []
