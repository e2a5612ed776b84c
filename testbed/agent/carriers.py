"""What carries a link: a device on the switch side, and the engine that its packets go through from there."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent import offloads
from testbed.agent.journal import OffloadsOff
from testbed.engines.engine import NewLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.agent.journal import Journal
    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.wiring import Port, Wiring
    from testbed.engines.counters import Counters
    from testbed.engines.engine import Engine
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey

_SINK_MTU = 65535
"""Bytes of the largest packet that there is."""


@dataclass(slots=True, kw_only=True)
class Link:
    """A link; `device`, of the switch side, takes its packets, and is None while the receiver's port is gone."""

    key: LinkKey
    addresses: Mapping[str, str]
    engine: str
    why: str
    impairments: Impairments
    seed: int
    device: int | None = None


class LinkCarriers:
    """Makes the devices of links, and calls the engine of each."""

    def __init__(
        self, wiring: Wiring, devices: LinkDevices, engines: Mapping[str, Engine], journal: Journal | None
    ) -> None:
        self._wiring = wiring
        self._devices = devices
        self._engines = engines
        self._journal = journal

    def make_sink(self) -> int:
        """Make a device that drops what is sent to it, and return its index."""
        (pair,) = self._devices.make_pairs({"sink": _SINK_MTU})
        return pair.near.index

    async def make(self, links: Sequence[Link]) -> None:
        """Make the devices of a few links, and start their engines on them.

        Raises:
            LabError: a port or a node is gone, an engine refuses; links that are not made have no device.
            OSError: the kernel's refusal, likewise.
        """
        self.switch_offloads_off(links)
        for name, engine in self._engines.items():
            if own := [link for link in links if link.engine == name]:
                devices = await engine.attach([self._new(link) for link in own])
                for link, device in zip(own, devices, strict=True):
                    link.device = device

    def _new(self, link: Link) -> NewLink:
        port = self._wiring.port(link.key.destination, link.key.network)
        return NewLink(str(link.key), link.impairments, link.seed, port.index, port.mtu)

    def switch_offloads_off(self, links: Iterable[Link], sender: str | None = None) -> None:
        """Switch segmentation offloads off at the senders of links whose engines need single packets.

        Args:
            links: the links.
            sender: the only sender to change; by default all of them.

        Raises:
            LabError: `offload-stays-on`; a node or a port is gone.
            OSError: the kernel's refusal.
        """
        interfaces: defaultdict[str, set[str]] = defaultdict(set)
        for link in links:
            if self._engines[link.engine].needs_single_packets and sender in (None, link.key.source):
                port = self._wiring.port(link.key.source, link.key.network)
                interfaces[port.node].add(port.interface)
                if port.network in self._wiring.open_networks:
                    self._note_offloads(port)
        for node, names in interfaces.items():
            offloads.switch_off(self._wiring.node(node).network, names, offloads.SEGMENTATION)

    def _note_offloads(self, port: Port) -> None:
        """Record in the journal the offloads of an interface that is not the lab's own."""
        assert self._journal  # noqa: S101  # open networks are not the agent's own
        node = self._wiring.node(port.node)
        self._journal.write(
            OffloadsOff(
                port=port.index,
                network=os.fstat(node.network).st_ino,
                pid=node.pid,
                wanted=offloads.wanted(node.network, port.interface),
            )
        )

    async def apply(self, link: Link, impairments: Impairments) -> None:
        """Change the impairments of a link; if its port is gone, they apply when it comes back."""
        if link.device is not None:
            await self._engines[link.engine].apply(str(link.key), impairments)
        link.impairments = impairments

    async def restart(self, links: Collection[Link]) -> None:
        """Restart links; those whose port is gone restart when that comes back."""
        for name, engine in self._engines.items():
            await engine.restart([str(link.key) for link in links if link.engine == name and link.device is not None])

    async def counters(self) -> dict[str, Counters]:
        """Return the counters of all links that have a device, by name."""
        found: dict[str, Counters] = {}
        for engine in self._engines.values():
            found |= await engine.counters()
        return found

    def dead(self) -> dict[str, str]:
        """Return the links that pass nothing any more because their worker has ended, and how it ended."""
        return {link: reason for engine in self._engines.values() for link, reason in engine.dead().items()}

    async def dismantle(self, links: Collection[Link]) -> None:
        """Detach links from their engines, and remove their devices."""
        for name, engine in self._engines.items():
            if made := [link for link in links if link.engine == name and link.device is not None]:
                await engine.detach([str(link.key) for link in made])
                for link in made:
                    link.device = None

    async def close(self, sink: int | None) -> None:
        """Remove all devices, the sink among them; packets that would cross them are dropped at their ports."""
        for engine in self._engines.values():
            await engine.close()
        if sink is not None:
            self._devices.delete([sink])
