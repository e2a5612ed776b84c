"""Follows the MACs that nodes send with: those of their interfaces now, and those that bridges learn at their ports.

A node may send with a new MAC, of a macvlan perhaps. These packets are dropped until the bridge has told at which port
it learned that MAC, and are the node's like any other from then on; on an open network they pass until then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.agent.nodes import devices_of
from testbed.agent.port_problems import sends_with_too_many

if TYPE_CHECKING:
    from testbed.agent.incidents import Incidents
    from testbed.agent.links import Links
    from testbed.agent.ports import Side
    from testbed.agent.switch import Learned
    from testbed.agent.wiring import Wiring


def is_news(wiring: Wiring, side: Side, learned: Learned) -> bool:
    """Whether a bridge has learned a MAC at the port of a node that is not known to send with it."""
    port = wiring.port_at((side.number, learned.port))
    return port is not None and wiring.senders[port.network].get(learned.mac) != port.node


def follow_mac(wiring: Wiring, side: Side, learned: Learned, incidents: Incidents) -> str | None:
    """Count a MAC among those of the node at whose port it was learned; return the node if that is new."""
    port = wiring.port_at((side.number, learned.port))
    if port is None:
        return None
    senders = wiring.senders[port.network]
    before = senders.get(learned.mac)
    if before == port.node or sends_with_too_many(port, wiring):
        return None
    senders[learned.mac] = port.node
    if before is not None:
        incidents.note(
            f"network {port.network}: packets from MAC {learned.mac}, which was {before}'s, now come from "
            f"{port.node}; the first of them had the impairments of {before}'s links"
        )
    return port.node


async def follow_node(wiring: Wiring, links: Links, name: str) -> None:
    """Adapt the links of a node to its interfaces as they are now.

    Raises:
        LabError: as `Links.follow`.
        OSError: the node has ended.
    """
    inner = {device.name: device for device in devices_of(wiring.node(name))}
    by_peer = {device.peer: device for device in inner.values()}
    for place, port in list(wiring.ports.items()):
        own = inner.get(port.interface)
        if own is None or own.peer != port.index:
            own = by_peer.get(port.index)
        if port.node == name and own and place not in wiring.gone:
            now = replace(port, mac=own.mac, interface=own.name)
            wiring.ports[place] = now
            wiring.senders[port.network].setdefault(own.mac, name)
            await links.follow(now)
