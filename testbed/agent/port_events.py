"""Listens to the kernel for changes: devices and MACs on the switch sides of a lab, interfaces in its nodes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent.netlink import LINK_GROUP, NEIGHBOUR_GROUP, EventSocket
from testbed.errors import TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.agent.ports import Side
    from testbed.agent.wiring import Wiring


class PortEvents:
    """The event sockets of a lab, in the namespaces of its switch sides and nodes.

    Args:
        wiring: the nodes and ports of the lab.
        on_side: is called with a side where something has changed, and the kernel's messages about it; None in place of
            these where some were lost.
        on_node: is called with the name of a node where something has changed.
    """

    def __init__(
        self,
        wiring: Wiring,
        on_side: Callable[[Side, list[tuple[int, bytes]] | None], None],
        on_node: Callable[[str], None],
    ) -> None:
        self._wiring = wiring
        self._on_side = on_side
        self._on_node = on_node
        self._sides: dict[int, EventSocket] = {}
        self._nodes: dict[str, EventSocket] = {}

    def hear_side(self, side: Side) -> None:
        """Listen to changes on a switch side."""
        if side.number not in self._sides:
            with namespaces.inside(side.fd):
                events = self._sides[side.number] = EventSocket(LINK_GROUP | NEIGHBOUR_GROUP)
            asyncio.get_running_loop().add_reader(events.fileno(), self._side_changed, side)

    def ignore_side(self, number: int) -> None:
        """Stop listening to the side with that number."""
        _close(self._sides.pop(number))

    def hear_node(self, name: str) -> None:
        """Listen to changes in a node as it is now; do nothing if it does not run."""
        self.ignore_node(name)
        with suppress(TestbedError, OSError):
            with namespaces.inside(self._wiring.node(name).network):
                self._nodes[name] = EventSocket(LINK_GROUP)
            asyncio.get_running_loop().add_reader(self._nodes[name].fileno(), self._node_changed, name)

    def ignore_node(self, name: str) -> None:
        """Stop listening to a node."""
        if known := self._nodes.pop(name, None):
            _close(known)

    def close(self) -> None:
        """Stop listening, and close the sockets."""
        for name in list(self._nodes):
            self.ignore_node(name)
        for number in list(self._sides):
            self.ignore_side(number)

    def _side_changed(self, side: Side) -> None:
        self._on_side(side, self._sides[side.number].read())

    def _node_changed(self, name: str) -> None:
        self._nodes[name].read()
        self._on_node(name)


def _close(events: EventSocket) -> None:
    asyncio.get_running_loop().remove_reader(events.fileno())
    events.close()
