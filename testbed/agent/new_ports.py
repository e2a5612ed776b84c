"""Ports that have appeared on a lab's networks: closed until their owners are known, then opened or left alone."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import aliases, switch
from testbed.errors import LabError

if TYPE_CHECKING:
    from testbed.agent.incidents import Incidents
    from testbed.agent.port_rules import PortRules
    from testbed.agent.ports import DeviceKey, Side
    from testbed.agent.switch import NetworkDevice
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

STARTING_SECONDS = 5.0
"""What a container needs at most from its port's appearance until its end of it is up; it is looked at more often."""


@dataclass(slots=True, kw_only=True)
class NewPort:
    """A port whose owner is not known yet.

    Attributes:
        side: where it is.
        since: when it appeared, s of the monotonic clock.
        passed: packets that it passed, in either direction, before it was closed.
        closed: it passes nothing; else its network has no links.
        connected: when both ends of it were up; 0 before.
        failure: why its links do not work yet, or why it is not known whose it is.
    """

    side: Side
    network: str
    name: str
    since: float
    passed: int
    closed: bool
    connected: float = 0
    failure: str = ""

    @property
    def is_starting(self) -> bool:
        """Whether its container may still be starting."""
        return time.monotonic() - self.since < STARTING_SECONDS


@dataclass(slots=True)
class NewPorts:
    """The ports of a lab's networks whose owners are not known yet, and those that belong to no node.

    Attributes:
        wiring: the nodes and ports of the lab.
        rules: of the ports.
        incidents: of the lab.
        by_key: the ports whose owners are not known yet.
    """

    wiring: Wiring
    rules: PortRules
    incidents: Incidents
    by_key: dict[DeviceKey, NewPort] = field(default_factory=dict)
    _not_nodes: dict[DeviceKey, str] = field(default_factory=dict)

    @property
    def is_any_starting(self) -> bool:
        """Whether the container of one of them may still be starting."""
        return any(port.is_starting for port in self.by_key.values())

    def appeared(self, side: Side, device: NetworkDevice) -> bool:
        """Close a device that is a new port of a network with links; return whether its owner is to be found now."""
        network, key = self.wiring.bridged(side, device), (side.number, device.index)
        known = self.by_key.get(key)
        if not device.connected:
            self._not_nodes.pop(key, None)  # its other end may be moving to a node
        is_up_now = bool(known and device.connected and not known.connected)
        if known and is_up_now:
            known.connected = time.monotonic()
        if (
            network is None
            or (known and known.closed)
            or self.wiring.port_at(key)
            or self._not_nodes.get(key) == network
        ):
            return is_up_now
        new = self._close(side, device, network)
        if new is None or (known and not new.closed):
            return is_up_now
        self.by_key[key] = new
        return True

    def _close(self, side: Side, device: NetworkDevice, network: str) -> NewPort | None:
        """Close a new port, unless its network has no links; return None if it has gone, or is not to be closed."""
        try:
            (now,) = switch.devices(side.route, device.index)
            # What a bridge reports of its port lacks the alias. A VXLAN device leads to other machines, whose packets
            # the ports of nodes know by their MACs.
            if aliases.carries_links(now) or now.kind == "vxlan":
                self.leave_alone((side.number, device.index), network)
                return None
            closed = self.rules.close(side, device.index, network)
            (now,) = switch.devices(side.route, device.index)
        except OSError:
            return None
        except LabError as error:
            self.incidents.note(f"{device.name}, a new port of network {network}, could not be closed: {error.message}")
            return None
        return NewPort(
            side=side,
            network=network,
            name=device.name,
            since=time.monotonic(),
            passed=now.sent + now.received,
            closed=closed,
        )

    def forget(self, key: DeviceKey) -> None:
        """Forget a port, because it has gone."""
        self.by_key.pop(key, None)
        self._not_nodes.pop(key, None)

    def leave_alone(self, key: DeviceKey, network: str) -> None:
        """Note that a port of a network belongs to no node."""
        self._not_nodes[key] = network

    def release(self, key: DeviceKey) -> None:
        """Restore a port that belongs to no node, on an open network; on one of the lab's own it stays closed."""
        new = self.by_key[key]
        if new.network not in self.wiring.open_networks:
            return
        self.rules.release(new.side, key[1])
        del self.by_key[key]
        self.leave_alone(key, new.network)
        if new.closed:
            waited_ms = (time.monotonic() - new.connected) * 1e3 if new.connected else 0
            _log.info(
                "%s, a port of network %s, is no node's: open %.1f ms after it was up", new.name, new.network, waited_ms
            )
