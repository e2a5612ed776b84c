"""What each port of a lab lets through: packets of nodes that are known there, by their links or untouched."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent import switch
from testbed.agent.filters import PortFilters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.wiring import Port, Wiring


class PortRules:
    """The filters of all ports that links lead to, and of new ports beside them.

    Attributes:
        sink: index of the device that drops what is sent to it; there are no rules before it is set.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.sink: int | None = None
        self._wiring = wiring
        self._filters: dict[int, PortFilters] = {}
        self._networks: set[str] = set()

    def close(self, index: int, network: str) -> bool:
        """Have a new port pass nothing until there are rules for it.

        Returns:
            False where that is not done: its network has no links, or is open to others than the lab's nodes.

        Raises:
            OSError: there is no such port any more.
        """
        if network not in self._networks or network in self._wiring.open_networks:
            return False
        self._at(index, network).close()
        return True

    def set(self, port: Port, devices: Mapping[str, int | None]) -> None:
        """Have a port send the packets of nodes to the devices of their links.

        Those of other nodes on the network pass untouched, those of an unknown source are dropped, or pass where the
        network is open. Without links, everything passes.

        Args:
            port: where links end.
            devices: by the links' source nodes.

        Raises:
            OSError: the kernel's refusal.
        """
        if not devices:
            if port.index in self._filters:
                self._filters.pop(port.index).clear()
            return
        self._networks.add(port.network)
        # The switch itself sends with the addresses of its own devices: as a gateway, or as IPv6 asks of every device.
        rules: dict[str, int | None] = {
            switch.devices(self._wiring.route, index)[0].mac: None for index in (port.index, port.bridge)
        }
        rules |= {mac: devices.get(node) for mac, node in self._wiring.senders[port.network].items()}
        self._at(port.index, port.network).set_rules(rules)

    def forget(self, index: int) -> None:
        """Note that a port has gone."""
        self._filters.pop(index, None)

    def dropped(self) -> dict[str, int]:
        """By port, how many packets were dropped because their source is unknown."""
        return {
            str(port): self._filters[port.index].dropped()
            for port in self._wiring.ports.values()
            if port.index in self._filters
        }

    def release(self) -> None:
        """Let everything pass again at ports of open networks, which outlive the lab."""
        for port in self._wiring.ports.values():
            if port.network in self._wiring.open_networks and port.index in self._filters:
                with suppress(OSError):  # the port has gone, and its rules with it
                    self._filters.pop(port.index).clear()

    def _at(self, index: int, network: str) -> PortFilters:
        if index not in self._filters:
            assert self.sink is not None  # noqa: S101  # links are made before there are rules for them
            is_open = network in self._wiring.open_networks
            self._filters[index] = PortFilters(self._wiring.route, index, self.sink, is_open=is_open)
        return self._filters[index]
