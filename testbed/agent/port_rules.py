"""Which packets each port of a lab passes: those of known nodes, by their links or unimpaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent import filter_hooks, switch
from testbed.agent.filters import PortFilters
from testbed.agent.journal import Bridge, PortLeft, PortUsed
from testbed.agent.journal.undo import leave
from testbed.agent.known_macs import KnownMacs
from testbed.errors import LabError
from testbed.names import HOST

if TYPE_CHECKING:
    from testbed.agent.journal import Journal
    from testbed.agent.known_macs import Senders
    from testbed.agent.match_rules import Rules
    from testbed.agent.ports import DeviceKey, Port, Side
    from testbed.agent.rule_lists import PortLists
    from testbed.agent.wiring import Wiring


class PortRules:
    """The filters of all ports that links lead to, and of new ports beside them.

    Attributes:
        sinks: by the number of a side, the index of the device there that drops what is sent to it; there are no rules
            before it is set.
    """

    def __init__(self, wiring: Wiring, journal: Journal | None) -> None:
        """`journal` is None where the switch side is the agent's own, and goes when the agent does."""
        self.sinks: dict[int, int] = {}
        self._wiring = wiring
        self._journal = journal
        self._filters: dict[DeviceKey, PortFilters] = {}
        self._used: dict[DeviceKey, PortUsed] = {}
        self._networks: set[str] = set()
        self._with_lines: set[str] = set()

    def close(self, side: Side, index: int, network: str) -> bool:
        """Close a new port until `open` or `release`; return False if its network has no links.

        What the node sends is dropped as well on an open network, where ports pass what they don't know, where nodes
        have uplinks, and where it may go to the machine, which has no such port.

        Raises:
            OSError: there is no such port any more.
            LabError: `port-in-use`.
        """
        if network not in self._networks:
            return False
        new = self._at(side, index, network)
        new.close()
        wiring = self._wiring
        if network in wiring.open_networks or network in wiring.gateways or network in self._with_lines:
            new.silence()
        return True

    def watch(self, network: str) -> None:
        """Let `close` close new ports of a network on which links are expected, before any link is made."""
        self._networks.add(network)

    def open(self, key: DeviceKey) -> None:
        """Pass what the node sends, because the rules of the other ports know the node by now."""
        if key in self._filters:
            self._filters[key].unsilence()

    def release(self, side: Side, index: int) -> None:
        """Restore a port of an open network to its state before: no links lead to it."""
        if self._filters.pop((side.number, index), None):
            assert self._journal  # noqa: S101  # open networks are not the agent's own
            leave(side.route, self._used.pop((side.number, index)))
            self._journal.write(PortLeft(port=index, network=side.number))

    def set(self, port: Port, lists: PortLists, senders: Senders) -> None:
        """Make a port send the packets of nodes, and those of its node to the machine, to the devices of their links.

        Those of other nodes on the network pass untouched. Those of an unknown source are dropped, or pass untouched
        where the network is open. Without links, everything passes.

        Args:
            port: where links end.
            lists: the rules of the links.
            senders: who sends on the network.

        Raises:
            LabError: `port-in-use`.
            OSError: the kernel's refusal.
        """
        links, onward = lists
        edge = self._wiring.edge(port)
        if not links and not onward:
            if port.network in self._wiring.open_networks:
                self.release(port.side, port.index)
            elif known := self._filters.pop((port.side.number, edge), None):
                known.unsilence()
                known.clear()
                known.set_onward_rules("", ())
            return
        self._watch(port)
        gateway = self._wiring.gateways.get(port.network)
        if gateway and not gateway.is_port:
            self._at(port.side, edge, port.network).set_onward_rules(gateway.mac, onward)
        if not links:
            self._at(port.side, edge, port.network).clear()
            return
        # The switch itself sends with the addresses of its own devices: as a gateway, or as IPv6 asks of every device.
        # A cable has no switch: its port is the sender's own interface.
        rules: dict[str, Rules] = {
            switch.devices(port.side.route, index)[0].mac: () for index in (edge, port.bridge) if port.bridge
        }
        if gateway:
            rules[gateway.mac] = links.get(HOST, ())
        rules |= {mac: of_node for node, of_node in links.items() for mac in senders.by_node.get(node, ())}
        others = KnownMacs() if port.network in self._wiring.open_networks else senders.known
        self._at(port.side, edge, port.network).set_rules(rules, others)

    def make_room(self, port: Port) -> bool:
        """Remove the rules for what a node sends to the machine, which are where its line's will be.

        Returns:
            Whether there were any: until `give_line`, all is dropped that the node sends.

        Raises:
            OSError: the kernel's refusal.
        """
        known = self._filters.get(port.key)
        if not known or not known.has_onward_rules:
            return False
        known.silence()
        known.set_onward_rules("", ())
        return True

    def give_line(self, port: Port, *, made_room: bool = False) -> None:
        """Replace the rules of a port by those of its line; new ports of its network are silenced.

        The rules of a new port stay behind those of the line, and drop what these don't take.

        Args:
            port: with the line.
            made_room: what `make_room` has returned.
        """
        self._watch(port)
        self._with_lines.add(port.network)
        if (known := self._filters.pop(port.key, None)) and (made_room or not known.silenced):
            known.clear()
            known.unsilence()

    def _watch(self, port: Port) -> None:
        """Close new ports on a network until their owners are known."""
        if self._journal and port.network not in self._wiring.open_networks:
            self._journal.write(Bridge(index=port.bridge, network=port.side.number, path=port.side.path))
        self._networks.add(port.network)

    def forget(self, key: DeviceKey) -> None:
        """Note that a port has gone."""
        self._filters.pop(key, None)
        self._used.pop(key, None)

    def dropped(self) -> dict[str, int]:
        """By port, how many packets were dropped because their source is unknown."""
        return {
            str(port): self._filters[edge].dropped()
            for port in self._wiring.ports.values()
            if (edge := (port.side.number, self._wiring.edge(port))) in self._filters
        }

    def _at(self, side: Side, index: int, network: str) -> PortFilters:
        key = side.number, index
        if key not in self._filters:
            is_open = network in self._wiring.open_networks
            if is_open:
                self._take(side, index, network)
            self._filters[key] = PortFilters(side.route, index, self.sinks[side.number], is_open=is_open)
        return self._filters[key]

    def _take(self, side: Side, index: int, network: str) -> None:
        """Note the state of a port that is not the lab's, before anything is attached to it.

        Raises:
            LabError: `port-in-use`, filters of another program would no longer see packets that go through links.
        """
        assert self._journal  # noqa: S101  # open networks are not the agent's own
        found = filter_hooks.hooks(side.route, index)
        (device,) = switch.devices(side.route, index)
        bypassed = found.egress or (found.ingress and network in self._wiring.gateways)
        if bypassed or found.qdisc not in (None, "clsact"):
            name = device.name
            port = self._wiring.port_at((side.number, index))
            what = "filters" if bypassed else f"a qdisc {found.qdisc}"
            raise LabError(
                "port-in-use",
                f"{name}, the port of {port or 'a container'}, has {what} of somebody else; links would bypass that",
                f"tc filter show dev {name} egress, or ingress, and tc qdisc show dev {name} say what; remove it, or "
                "take down the lab that made it",
            )
        used = PortUsed(
            port=index,
            had_hook=found.qdisc is not None,
            queue_length=device.queue_length,
            network=side.number,
            path=side.path,
        )
        self._used[side.number, index] = used
        self._journal.write(used)
