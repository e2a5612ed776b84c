"""Containers that were created and have not started: nodes that wait for their ports.

Their links are asked for like any others. A port is closed as soon as it appears, its links are made, and then it
opens: the first packet of a container's first process goes through them (`attachments.py`).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from testbed.agent.nodes import NodeNamespaces
from testbed.agent.ports import Port
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.messages import AwaitedNode, WatchedNetwork
    from testbed.agent.wiring import Wiring


def expect(wiring: Wiring, networks: Sequence[WatchedNetwork], nodes: Sequence[AwaitedNode]) -> None:
    """Add nodes that are containers which have not started yet, on open networks.

    Raises:
        LabError: `no-such-bridge`.
    """
    bridges: dict[str, tuple[int, int]] = {}
    for network in networks:
        try:
            with namespaces.inside(wiring.switch):
                index = socket.if_nametoindex(network.bridge)
        except OSError as error:
            raise LabError(
                "no-such-bridge", f"network {network.name} has no bridge {network.bridge}: {error.strerror}"
            ) from None
        bridges[network.name] = index, network.mtu
        wiring.bridges[wiring.main.number, index] = network.name
        wiring.open_networks.add(network.name)
        wiring.senders.setdefault(network.name, {})
    for node in nodes:
        wiring.nodes[node.name] = NodeNamespaces(name=node.name, network=-1, is_awaited=True)
        wiring.identities[node.name] = node.identity
        for name, address in node.addresses.items():
            bridge, mtu = bridges[name]
            place = node.name, name
            wiring.ports[place] = Port(
                node=node.name,
                network=name,
                side=wiring.main,
                index=0,
                bridge=bridge,
                mac="",
                interface="",
                mtu=mtu,
                address=address,
            )
            wiring.gone[place] = f"node {node.name} is not on network {name} yet: its container has not started"
            wiring.expected.add(place)
