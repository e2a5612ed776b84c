"""Uplinks and downlinks: a line between a node's port and the switch, which all of its packets cross.

    node -- port ==tc==> inner --uplink--> outer (port of the bridge) -- links by source --> ports of other nodes
            port <--downlink== inner <==tc== outer <-- links by source

The line is a veth pair on the switch side. Its outer end takes the place of the node's port at the bridge: rules about
sources hang there, in both senses as at any port. The port stays where it was, but the bridge neither learns at it nor
floods to it, and what comes in at one of port and inner end goes out of the other. So a packet meets the uplink of its
source, the link of the pair, and the downlink of its destination, each at the egress of a device of its own; the
engines do the same for all three. Where a device of a link has gone, the kernel drops what would have crossed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import u32
from testbed.agent.filter_hooks import add_hook
from testbed.agent.match_rules import LINE_NUMBERS, MatchTables
from testbed.agent.netlink import CREATE, EXCL
from testbed.agent.ports import AccessLine
from testbed.agent.u32 import Onward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.match_rules import Rule
    from testbed.agent.netlink import RouteSocket
    from testbed.agent.ports import DeviceKey, Port, Side
    from testbed.agent.wiring import Wiring

_RULE = 1
"""Number of the only rule of a table."""

_LIST = 0x500 << 20
"""Handle of the table with the rule that changes: the kernel replaces no rule of a root table, whose handle is its."""


@dataclass(slots=True)
class AccessLines:
    """The lines of nodes that have an uplink or a downlink.

    Attributes:
        wiring: the nodes and ports of the lab, and where packets for a node leave the switch.
        devices: returns what makes devices on a side.
        before_opening: is called with the network of a line, before the first packet crosses it.
    """

    wiring: Wiring
    devices: Callable[[Side], LinkDevices]
    before_opening: Callable[[str], None] = field(default=lambda _: None)
    _rules: dict[DeviceKey, _AllPackets] = field(default_factory=dict)
    _closed: list[Port] = field(default_factory=list)

    def make(self, port: Port) -> None:
        """Make the line of a port, which passes nothing until `open`.

        Raises:
            OSError: the kernel's refusal.
        """
        route, devices = port.side.route, self.devices(port.side)
        inner, outer = devices.make_line(f"line of {port}", port.mtu, port.bridge)
        self.wiring.add_line(port, AccessLine(inner, outer))
        self._closed.append(port)
        devices.mute(port.index)
        for here, there in ((port.index, inner), (inner, port.index)):
            add_hook(route, here)
            body = u32.rule(here, _RULE, actions=u32.redirect(there), place=u32.ONWARD)
            route.send([(u32.NEW_FILTER, CREATE | EXCL, body)])
            self._rules[port.side.number, here] = _AllPackets(route, here)

    def set(self, port: Port, up: Sequence[Rule], down: Sequence[Rule]) -> None:
        """Send what crosses a line to the devices of uplink and downlink, by their matches.

        Raises:
            OSError: the kernel's refusal.
            LabError: `too-many-matches`.
        """
        line = self.wiring.lines[port.node, port.network]
        self._rules[port.side.number, line.inner].set(up)
        self._rules[port.key].set(down)

    def open(self) -> None:
        """Let packets pass the lines that are new.

        Raises:
            OSError: the kernel's refusal.
        """
        lines = [(port, line) for port in self._closed if (line := self.wiring.lines.get(port.place))]
        for network in dict.fromkeys(port.network for port, _ in lines):
            self.before_opening(network)
        for side in dict.fromkeys(port.side for port, _ in lines):
            own = [line for port, line in lines if port.side == side]
            self.devices(side).switch_on_at(index for line in own for index in (line.inner, line.outer))
        self._closed.clear()

    def remove(self, port: Port) -> None:
        """Remove the line of a port, if it has one; a port that is still there passes nothing from then on."""
        if line := self.wiring.remove_line(port):
            self._rules.pop((port.side.number, line.inner), None)
            self._rules.pop(port.key, None)
            self.devices(port.side).delete([line.inner])  # the outer end goes with it

    def close(self) -> None:
        """Remove all lines."""
        for place in list(self.wiring.lines):
            self.remove(self.wiring.ports[place])


class _AllPackets:
    """The rules for all packets that leave a device, from any sender."""

    def __init__(self, route: RouteSocket, device: int) -> None:
        self._route = route
        self._device = device
        self._tables = MatchTables(route, device, allowed=LINE_NUMBERS)
        self._has_list = False
        self._present: tuple[Rule, ...] | None = None  # rules of a new port drop what no rule here passes

    def set(self, rules: Sequence[Rule]) -> None:
        """Replace all rules by these, in one step; packets that none of them takes pass."""
        if self._present == tuple(rules):
            return
        add_hook(self._route, self._device)
        tables, messages = self._tables.make(rules)
        plain = next((rule.device for rule in rules if rule.match is None), None)
        if not self._has_list:
            messages.append((u32.NEW_FILTER, CREATE | EXCL, u32.table(self._device, _LIST)))
            to_list = u32.rule(self._device, _RULE, onward=Onward(_LIST))
            messages.append((u32.NEW_FILTER, CREATE | EXCL, to_list))
        onward = Onward(tables[0] << 20) if tables else u32.STAY
        body = u32.rule(self._device, _LIST | _RULE, actions=u32.redirect(plain), onward=onward)
        self._route.send([*messages, (u32.NEW_FILTER, CREATE, body)])
        self._has_list = True
        self._tables.keep(tables)
        self._present = tuple(rules)
