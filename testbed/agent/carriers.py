"""What carries a link: a device on the switch side, and the engine that its packets go through from there."""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.agent import offloads
from testbed.agent.journal import OffloadsOff
from testbed.engines import ENGINES, load
from testbed.engines.engine import NewLink, Switch
from testbed.errors import LabError
from testbed.matching import ANY_NODE
from testbed.names import HOST, INTERNET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from testbed.agent.journal import Journal
    from testbed.agent.link import ImpairedLink
    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.ports import Port, Side
    from testbed.agent.wiring import Wiring
    from testbed.engines.counters import Counters
    from testbed.engines.engine import Engine
    from testbed.errors import MachineError
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey

_AT_ONCE = 32
"""Links that are made in one go, with fewer requests to the kernel and the workers, which carry nothing meanwhile."""

_SINK_MTU = 65535
"""Bytes of the largest packet that there is."""


def batches(links: Iterable[ImpairedLink]) -> Iterator[tuple[ImpairedLink, ...]]:
    """Yield links by as many as are made in one go."""
    rest = iter(links)
    while batch := tuple(itertools.islice(rest, _AT_ONCE)):
        yield batch


class LinkCarriers:
    """Makes the devices of links, and calls the engine of each."""

    def __init__(
        self, wiring: Wiring, devices: LinkDevices, engines: dict[str, Engine], journal: Journal | None
    ) -> None:
        """`devices` and `engines` are those of the main switch side; those of others are like them."""
        self._wiring = wiring
        self._devices = {0: devices}
        self._engines = {0: engines}
        self._journal = journal

    async def open(self, side: Side) -> None:
        """Load the engines of a further switch side, so that links to its ports can be carried."""
        if side.number in self._engines:
            return
        devices = self._devices[0].elsewhere(side.fd, side.route)
        engines = _load_engines(self._engines[0], side.fd, devices)
        for engine in engines.values():
            await engine.probe()
        self._devices[side.number], self._engines[side.number] = devices, engines

    async def load_engines(self, missing: dict[str, MachineError]) -> None:
        """Load the engines of the main switch side, unless there are some, and note which do not work here, and why."""
        if not self._engines[0]:
            for name, engine in _load_engines(ENGINES, self._wiring.switch, self._devices[0]).items():
                self._engines[0][name] = engine
                if why := (await engine.probe()).missing:
                    missing[name] = why

    def devices(self, side: Side) -> LinkDevices:
        """Return what makes devices on a side that is open."""
        return self._devices[side.number]

    def make_sink(self, side: Side) -> int:
        """Make a device on a side that drops what is sent to it, and return its index."""
        (pair,) = self.devices(side).make_pairs({"sink": _SINK_MTU})
        return pair.near.index

    @property
    def _all(self) -> list[tuple[int, str, Engine]]:
        """All engines, with the number of their side and their name."""
        return [(side, name, engine) for side, engines in self._engines.items() for name, engine in engines.items()]

    def _of(self, link: ImpairedLink) -> Engine:
        return self._engines[link.side][link.engine]

    async def make(self, links: Sequence[ImpairedLink]) -> None:
        """Make the devices of a few links, and start their engines on them.

        Raises:
            LabError: a port or a node is gone, an engine refuses; links that are not made have no device.
            OSError: the kernel's refusal, likewise.
        """
        self.switch_offloads_off(links)
        for link in links:
            side = self._wiring.port(*link.key.place).side
            await self.open(side)
            link.side = side.number
        for side_number, name, engine in self._all:
            if own := [link for link in links if (link.side, link.engine) == (side_number, name)]:
                devices = await engine.attach([self._new(link) for link in own])
                for link, device in zip(own, devices, strict=True):
                    link.device = device

    def _new(self, link: ImpairedLink) -> NewLink:
        """Return a link as engines take it: packets leave it at its receiver, before the uplink or downlink there."""
        port, key = self._wiring.port(*link.key.place), link.key
        if key.destination == ANY_NODE:
            leaves = self._wiring.lines[key.place].inner
        else:
            leaves = port.index if key.source == ANY_NODE else self._wiring.edge(port)
        return NewLink(str(key), link.impairments, link.seed, leaves, port.mtu, link.origin_ns)

    def switch_offloads_off(self, links: Iterable[ImpairedLink], sender: str | None = None) -> None:
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
            if self._engines[0][link.engine].needs_single_packets:
                for port in self._senders(link.key):
                    if sender not in (None, port.node):
                        continue
                    interfaces[port.node].add(port.interface)
                    if port.network in self._wiring.open_networks:
                        self._note_offloads(port)
        for node, names in interfaces.items():
            interfaces_of = self._wiring.node(HOST if node == INTERNET else node).network
            offloads.switch_off(interfaces_of, names, offloads.SEGMENTATION)

    def _senders(self, key: LinkKey) -> Iterator[Port]:
        """Yield the ports of a link's sender; of a downlink those of all nodes that are on the network now."""
        if key.source != ANY_NODE:
            yield self._wiring.port(key.source, key.network)
            return
        for (node, network), port in self._wiring.ports.items():
            if network == key.network and node != key.destination and (node, network) not in self._wiring.gone:
                yield port

    def _note_offloads(self, port: Port) -> None:
        """Record in the journal the offloads of an interface that is not the lab's own."""
        assert self._journal  # noqa: S101  # open networks are not the agent's own
        node = self._wiring.node(port.node)
        with self._journal.alone():
            self._journal.write(
                OffloadsOff(
                    port=port.index,
                    network=os.fstat(node.network).st_ino,
                    pid=node.pid,
                    wanted=offloads.wanted(node.network, port.interface),
                    path=node.path,
                )
            )

    async def apply(self, link: ImpairedLink, impairments: Impairments) -> None:
        """Change the impairments of a link; if its port is gone, they apply when it comes back."""
        if link.device is not None:
            await self._of(link).apply(str(link.key), impairments)
        link.impairments = impairments
        link.origin_ns = time.monotonic_ns()

    async def restart(self, links: Collection[ImpairedLink], origin_ns: int | None) -> None:
        """Restart links, with time zero of their traces; those whose port is gone restart when that comes back."""
        origin_ns = time.monotonic_ns() if origin_ns is None else origin_ns
        for link in links:
            link.origin_ns = origin_ns
        for side, name, engine in self._all:
            own = [link for link in links if (link.side, link.engine) == (side, name) and link.device is not None]
            if own:
                await engine.restart([str(link.key) for link in own], origin_ns)

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:
        """Return the counters of all links that have a device, or of those of `links`, by name."""
        found: dict[str, Counters] = {}
        for _, _, engine in self._all:
            found |= await engine.counters(links)
        return found

    def dead(self) -> dict[str, str]:
        """Return the links that pass nothing any more because their worker has ended, and how it ended."""
        return {link: reason for _, _, engine in self._all for link, reason in engine.dead().items()}

    async def dismantle(self, links: Collection[ImpairedLink]) -> None:
        """Detach links from their engines, and remove their devices."""
        for side, name, engine in self._all:
            made = [link for link in links if (link.side, link.engine) == (side, name) and link.device is not None]
            if made:
                await engine.detach([str(link.key) for link in made])
                for link in made:
                    link.device = None

    async def close(self, sinks: Mapping[int, int]) -> None:
        """Remove all devices, the sinks among them; packets that would cross them are dropped at their ports."""
        for side in list(self._engines):
            await self.leave(side, sinks.get(side))

    async def leave(self, side: int, sink: int | None) -> None:
        """Remove all devices of a side, and close its engines, which hold its namespace."""
        for engine in self._engines.pop(side).values():
            await engine.close()
        devices = self._devices.pop(side)
        if sink is not None:
            devices.delete([sink])


def _load_engines(names: Iterable[str], network: int, devices: LinkDevices) -> dict[str, Engine]:
    return {name: load(name, Switch(network, devices.home, devices)) for name in names}


@contextmanager
def refusals(what: Port | LinkKey | str) -> Iterator[None]:
    """Turn an error of the kernel into one that names the link."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EXFULL:
            raise LabError(
                "network-full",
                f"{what}: all 1,023 ports of the network's bridge are taken; an uplink or downlink takes one more than "
                "its node",
                "spread the nodes over several networks",
            ) from None
        if error.errno in (errno.ENODEV, errno.ENXIO):  # since it was looked for
            raise LabError(
                "port-gone", f"{what}: its port has just gone: {error.strerror}", "it works again as soon as it is back"
            ) from None
        raise LabError("impairments-not-applied", f"{what}: the kernel refused: {error}") from None
