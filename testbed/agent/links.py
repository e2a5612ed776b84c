"""Links with impairments: for each a device on the switch side, and a rule on the receiver's port that leads to it.

source -> bridge -> port --clsact egress, u32 by source MAC and match, mirred--> device of the link
                      ^                                                              |
                      +-------- netem on ifb, or the userspace engine ---------------+

A port of such a network passes no packet from an unknown source (`filters`), so that no packet crosses without
the impairments that the file asks for. `carriers` has the devices and their engines, `steering` the rules.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed import logs
from testbed.agent.carriers import LinkCarriers, batches, refusals
from testbed.agent.engine_choice import engine_for
from testbed.agent.lab_events import Events
from testbed.agent.link import ImpairedLink
from testbed.agent.link_copies import copies
from testbed.agent.steering import Steering
from testbed.engines.counters import Counters
from testbed.errors import LabError
from testbed.matching import ANY_NODE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testbed.agent.journal import Journal
    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.messages import ChosenEngine, LinkRequest, LinkStatistics, NewImpairments
    from testbed.agent.ports import Port, Side
    from testbed.agent.wiring import Wiring
    from testbed.engines.engine import Engine
    from testbed.errors import MachineError
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Links:
    """All links of a lab that have impairments.

    Attributes:
        wiring: the nodes and ports of the lab.
        devices: makes devices of links.
        engines: by name, in order of preference; empty until the first link if they are to be loaded then.
        missing: those that do not work here, and why; likewise.
        journal: see `PortRules`; pauses of containers of others are in it too.
        events: of the lab; changes of impairments are among them.
        steering: brings packets to the links.
    """

    wiring: Wiring
    devices: LinkDevices
    engines: dict[str, Engine]
    missing: dict[str, MachineError]
    journal: Journal | None = None
    events: Events = field(default_factory=Events)
    steering: Steering = field(init=False)
    _carriers: LinkCarriers = field(init=False)
    _links: dict[LinkKey, ImpairedLink] = field(default_factory=dict)
    _exclusive: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._carriers = LinkCarriers(self.wiring, self.devices, self.engines, self.journal)
        self.steering = Steering(self.wiring, self._carriers, self._links, self.journal)

    async def impair(self, wanted: Iterable[LinkRequest]) -> tuple[ChosenEngine, ...]:
        """Set the impairments of links; they replace those that a link has, as a whole.

        Returns:
            The engine of each, in the same order.

        Raises:
            MachineError: `engine-unavailable`.
            LabError: impairments could not be applied, or reads back otherwise; `port-gone`; `open-network`.
        """
        wanted = list(wanted)
        async with self._exclusive:
            await self._carriers.load_engines(self.missing)
            new: list[ImpairedLink] = []
            done = []
            changed: dict[LinkKey, Impairments] = {}
            try:
                await self._make_lines({link.key.place for link in wanted if link.key.is_access})
                for link in wanted:
                    key = link.key
                    awaited = self.wiring.awaits(*key.nodes, network=key.network)
                    if key.is_outside:
                        with refusals(key):
                            self.wiring.meet_machine(key.network, link.addresses, self.devices)
                    chosen = engine_for(link, self.wiring, self.engines, self.missing)
                    done.append(chosen)
                    present = self._links.get(key)
                    if not present or present.impairments != link.impairments:
                        changed[key] = link.impairments
                    if present and present.engine == chosen.engine:
                        await self._carriers.apply(present, link.impairments)
                        continue
                    if awaited:
                        await self._expect(ImpairedLink.requested(link, chosen))
                    else:
                        new.append(ImpairedLink.requested(link, chosen))
                await self._make(new)
            finally:
                made = {link.key: link for link in new if link.device is not None}
                replaced = [self._links[key] for key in made if key in self._links]
                self._links |= made
                await self._connect(made.values())
                await self._carriers.dismantle(replaced)
            self.events.note_links(changed)
            return tuple(done)

    async def _expect(self, link: ImpairedLink) -> None:
        """Add a link that works as soon as both of its ends are there."""
        self.steering.make_sinks([self.wiring.last_port(*link.key.place)])
        self._links[link.key] = link
        self.steering.rules.watch(link.key.network)
        await self.engines[link.engine].prepare(len(self._links))

    async def _make(self, links: Collection[ImpairedLink]) -> None:
        """Make links; if that fails, those that were not made have no device."""
        for batch in batches(links):
            first, *others = batch
            with (
                refusals(f"{first.key}" + f" and {len(others)} more" * bool(others)),
                logs.timed(_log, f"make {len(batch)} links from {first.key} on", level=logging.DEBUG),
            ):
                await self._carriers.make(batch)

    async def _connect(self, links: Collection[ImpairedLink]) -> None:
        """Direct packets to links that are ready for them."""
        if not links:
            return
        ports = {self.wiring.port(*link.key.place) for link in links}
        self.steering.make_sinks(ports)
        self.steering.set_rules(
            ports | {self.wiring.port(link.key.source, link.key.network) for link in links if link.key.is_outside}
        )
        self.steering.introduce(links, anew=False)
        self.steering.access.open()

    async def _make_lines(self, places: Iterable[tuple[str, str]]) -> None:
        """Make the lines of ports that have none yet; the links that lead there are made anew.

        Raises:
            LabError: `open-network`; a link can't be made.
        """
        new = []
        for place in places:
            if place in self.wiring.lines:
                continue
            is_awaited = self.wiring.awaits(place[0], network=place[1])
            port = self.wiring.last_port(*place) if is_awaited else self.wiring.port(*place)
            if port.network in self.wiring.open_networks or not port.bridge:
                raise LabError(
                    "open-network",
                    f"{place[0]} can't have an uplink or downlink on {port.network}, which is not the lab's own",
                    "impair the links between two nodes there",
                )
            await self._carriers.open(port.side)
            with refusals(port):
                made_room = self.steering.rules.make_room(port)
                self.steering.access.make(port)
            self.steering.rules.give_line(port, made_room=made_room)
            before = [link for key, link in self._links.items() if key.place == place]
            await self._carriers.dismantle(before)
            await self._make(before)
            new.append(port)
        self.steering.make_sinks(new)
        self.steering.set_rules(new)  # until the lines are opened, they pass nothing

    async def change(self, changes: Iterable[NewImpairments]) -> None:
        """Change the impairments of links, with the engines that they have. All are tried, also after a failure.

        Raises:
            LabError: the first failure: a link is not impaired, or impairments could not be applied.
        """
        failures: list[LabError] = []
        changed: dict[LinkKey, Impairments] = {}
        async with self._exclusive:
            for change in changes:
                try:
                    link = self._impaired(change.key)
                    if link.impairments != change.impairments:
                        await self._carriers.apply(link, change.impairments)
                        changed[change.key] = change.impairments
                except LabError as failure:
                    failures.append(failure)
        self.events.note_links(changed)
        if failures:
            raise failures[0]

    def _impaired(self, key: LinkKey) -> ImpairedLink:
        if key not in self._links:
            raise LabError("not-impaired", f"{key} is not an impaired link", "take the lab down and bring it up again")
        return self._links[key]

    def dead(self) -> dict[str, str]:
        """Return the links that pass nothing any more because their worker has ended, and how it ended."""
        return self._carriers.dead()

    async def restart(self, origin_ns: int | None) -> None:
        """Restart every link: the same seed then gives packet n the same fate, whatever crossed before.

        Packets in flight are dropped, except by engines for which a restart does nothing.

        Args:
            origin_ns: time zero of the links' traces, ns of CLOCK_MONOTONIC; None is now.
        """
        async with self._exclusive:
            await self._carriers.restart(self._links.values(), origin_ns)

    async def statistics(self) -> tuple[LinkStatistics, ...]:
        """Return the counters of each link, from its engine."""
        counters = await self._carriers.counters()
        return tuple(
            link.statistics(counters.get(str(key), Counters(dead=self.wiring.gone.get(key.place, "it is being made"))))
            for key, link in tuple(self._links.items())
        )

    async def counters(self, links: Collection[str]) -> dict[str, Counters]:
        """Return the counters of those of these links that have a device now, by name."""
        async with self._exclusive:
            return await self._carriers.counters(links)

    def names(self) -> list[str]:
        """Return the names of all links."""
        return [*map(str, self._links)]

    async def attach(self, port: Port) -> bool:
        """Restore the links of a port that has come back; return False if no link leads to or from it.

        Links that lead to it are made anew: what was in flight is lost, and they count and draw from the beginning.

        Raises:
            LabError: a link can't be made, or the port has gone again.
        """
        async with self._exclusive:
            to_port = [link for key, link in self._links.items() if key.place == port.place]
            ends = port.node, ANY_NODE
            from_port = [
                link
                for key, link in self._links.items()
                if key.source in ends and key.network == port.network and key.place != port.place
            ]
            await self._carriers.dismantle(to_port)
            if any(link.key.is_access for link in to_port):
                with refusals(port):
                    self.steering.access.make(port)
                self.steering.rules.give_line(port)
            gone = self.wiring.gone.keys()
            never_made = [link for link in from_port if link.device is None and link.key.place not in gone]
            present = [link for link in to_port if not self.wiring.awaits(link.key.source, network=port.network)]
            await self._make([*present, *never_made])
            self._adapt(port, [*to_port, *from_port])
            self.steering.access.open()
            return bool(to_port or from_port)

    def extend(self, like: str, name: str, network: str, siblings: Collection[str]) -> None:
        """Give a further node the links that `copies` says; they work once its port is attached."""
        self._links |= copies(self._links, like, name, network, siblings)

    def requests(self, node: str) -> tuple[LinkRequest, ...]:
        """Return requests for the links from and to a node as they are now."""
        return tuple(
            link.request({end: self.wiring.addresses(end, key.network) for end in key.nodes})
            for key, link in self._links.items()
            if node in (key.source, key.destination)
        )

    async def follow(self, port: Port) -> None:
        """Treat all MACs that a node sends with at a port alike, also new ones.

        Raises:
            LabError: as `attach`.
        """
        async with self._exclusive:
            ends = port.node, port.network
            links = [key for key in self._links if ends in [(node, key.network) for node in key.nodes]]
            self._adapt(port, [self._links[key] for key in links])

    async def follow_distant(self, network: str) -> None:
        """Know the nodes of a network on other machines by what they send with now.

        Raises:
            LabError: as `attach`.
        """
        async with self._exclusive:
            self.steering.set_rules(self.steering.ports_present([network]))

    async def follow_addresses(self) -> None:
        """Tell `host` from `internet` by the addresses that the machine has now.

        Raises:
            LabError: as `attach`.
        """
        if self.steering.knows_machine():
            return
        _log.info("the machine's addresses have changed")
        async with self._exclusive:
            self.steering.set_rules(self.steering.ports_present(self.wiring.gateways.by_network))

    def _adapt(self, port: Port, links: Collection[ImpairedLink]) -> None:
        """Update what the nodes and the other ports of a network know of a port."""
        self.steering.introduce_distant([port.node])
        with refusals(port):
            self._carriers.switch_offloads_off(links, port.node)
        self.steering.set_rules(self.steering.ports_present([port.network]))
        gone = self.wiring.gone.keys()
        self.steering.introduce(
            [link for link in links if not {(node, link.key.network) for node in link.key.nodes} & gone]
        )

    async def detach(self, port: Port) -> None:
        """Remove the devices of the links to a port that is gone. Their impairments are kept until it comes back."""
        _log.info("%s is gone: its links are taken apart", port)
        async with self._exclusive:
            for index in (port.index, self.wiring.edge(port)):
                self.steering.rules.forget((port.side.number, index))
            await self._carriers.dismantle([link for key, link in self._links.items() if key.place == port.place])
            self.steering.access.remove(port)

    async def leave(self, side: Side) -> None:
        """Remove all devices of a side to which no link leads any more, and close what holds its namespace."""
        async with self._exclusive:
            await self._carriers.leave(side.number, self.steering.rules.sinks.pop(side.number, None))

    async def close(self, *, with_side: bool = False) -> None:
        """Remove all devices; packets that would cross them are dropped at ports of the lab from then on.

        Args:
            with_side: the namespace of the switch side goes right afterwards, and lines with it, all in one step.
        """
        if not with_side:
            self.steering.access.close()
        await self._carriers.close(self.steering.rules.sinks)
        self.wiring.gateways.close(self.devices)
        self._links.clear()
