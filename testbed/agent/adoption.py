"""Finds the ports of nodes that exist already, on networks that Docker or other programs have made."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import devices_of, of_namespace, of_process
from testbed.agent.ports import DevicePlace, Port, Side
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.messages import AdoptedNetwork, DistantNode, PresentNode
    from testbed.agent.nodes import NodeNamespaces
    from testbed.agent.switch import NetworkDevice
    from testbed.agent.wiring import Wiring


def know_distant(wiring: Wiring, nodes: Sequence[DistantNode]) -> None:
    """Note the MACs of nodes on other machines, by which ports here know their packets: overlay networks keep them."""
    for node in nodes:
        for each in node.interfaces:
            addresses = tuple(address for address in (each.address, each.address6) if address)
            wiring.add_distant(node.name, each.network, each.mac, addresses)


async def adopt(wiring: Wiring, networks: Sequence[AdoptedNetwork], nodes: Sequence[PresentNode]) -> None:
    """Find the ports of existing nodes on existing networks.

    Raises:
        LabError: `node-gone`, `port-not-found`.
    """
    wiring.open_networks |= {network.name for network in networks if network.open}
    wiring.internal_networks |= {network.name for network in networks if network.internal and not network.open}
    overlays = {network.name for network in networks if network.overlay}
    for given in nodes:
        name, pid = given.name, given.pid
        try:
            if given.namespace:
                node = of_namespace(name, given.namespace)
            else:
                node = of_process(name, pid, limited=given.limited, container=given.container)
        except OSError as error:
            raise LabError(
                "node-gone", f"no namespace of {name} ({given.namespace or f'pid {pid}'}): {error.strerror}"
            ) from None
        wiring.nodes[name] = node
        if given.identity:
            wiring.identities[name] = given.identity
        by_mac = {device.mac: device for device in devices_of(node)}
        for interface in given.interfaces:
            device = by_mac.get(interface.mac)
            far = bool(node.path) or interface.network in overlays
            found = _behind(wiring, node, device, elsewhere=far) if device else None
            if not device or not found:
                raise LabError(
                    "port-not-found",
                    f"{name} has no veth interface with MAC {interface.mac} for network {interface.network}; "
                    f"it has {', '.join(filter(None, by_mac))}",
                    "attach the node to a bridge network only",
                )
            side, port = found
            wiring.add(
                Port(
                    node=name,
                    network=interface.network,
                    side=side,
                    index=port.index,
                    bridge=port.master,
                    mac=device.mac,
                    interface=device.name,
                    mtu=device.mtu,
                    address=interface.address,
                    address6=interface.address6,
                )
            )


def _behind(wiring: Wiring, node: NodeNamespaces, device: NetworkDevice, *, elsewhere: bool) -> DevicePlace | None:
    """Find the other end of a node's interface.

    Args:
        wiring: the nodes and ports of the lab.
        node: the node.
        device: its interface.
        elsewhere: it may be in any other namespace of this machine, beside the known sides.
    """
    for side in wiring.sides:
        if port := switch.other_end(node.network, device, side.fd):
            return DevicePlace(side, port)
    if device.peer_namespace is None or not elsewhere:
        return None
    for path in namespaces.known_networks(*(each.path for each in wiring.nodes.values())):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                port = switch.other_end(node.network, device, fd)
            except OSError:  # no namespace, or one that has gone
                port = None
            if port is None:
                os.close(fd)
                continue
            with namespaces.inside(fd):
                side = Side(os.fstat(fd).st_ino, fd, RouteSocket(), str(path))
            wiring.elsewhere[side.number] = side
            return DevicePlace(side, port)
    return None
