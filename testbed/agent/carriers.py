"""What carries a link: a device on the switch side, and the engine that its packets go through from there."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent import offloads
from testbed.agent.link_devices import LinkDevices, ignore_sender
from testbed.engines import netem
from testbed.engines.userspace import sockets
from testbed.engines.userspace.engine import NewLink
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.agent.wiring import NetworkNamespace, Wiring
    from testbed.engines.choice import Kernel
    from testbed.engines.userspace.engine import UserspaceEngine
    from testbed.impairments import Impairments

_SINK_MTU = 65535
"""Bytes of the largest packet that there is."""


@dataclass(frozen=True, slots=True)
class Key:
    """What names a link: its ends and the network."""

    source: str
    destination: str
    network: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} on {self.network}"


@dataclass(slots=True, kw_only=True)
class Link:
    """A link; `device`, of the switch side, takes its packets, and is None while the receiver's port is gone."""

    key: Key
    addresses: Mapping[str, str]
    engine: str
    why: str
    impairments: Impairments
    seed: int
    device: int | None = None


class LinkCarriers:
    """Has links carried, each by its engine, and no longer."""

    def __init__(
        self, lab: str, wiring: Wiring, home: NetworkNamespace, userspace: UserspaceEngine, kernel: Kernel
    ) -> None:
        self._wiring = wiring
        self._home = home
        self._userspace = userspace
        self._kernel = kernel
        self._devices = LinkDevices(lab, wiring.switch.fd, wiring.route, home.fd)

    def make_sink(self) -> int:
        """Make a device that drops what is sent to it; its index."""
        ((near, _),) = self._devices.make_pairs({"sink": _SINK_MTU})
        return near.index

    async def make(self, links: Sequence[Link]) -> None:
        """Make the devices of a few links, and have their engines carry out their impairments.

        Raises:
            LabError: a port or a node is gone, an engine refuses; links that are not made have no device.
            OSError: the kernel's refusal, likewise.
        """
        await self._make_netem([link for link in links if link.engine == "netem"])
        await self._make_userspace([link for link in links if link.engine != "netem"])

    async def _make_netem(self, links: Sequence[Link]) -> None:
        if not links:
            return
        self.switch_offloads_off(links)
        devices = self._devices.make_ifbs(self._mtus(links))
        try:
            for link, device in zip(links, devices, strict=True):
                await self._apply_netem(link, device.index, link.impairments)
        except BaseException:
            self._devices.delete(device.index for device in devices)
            raise
        for link, device in zip(links, devices, strict=True):
            link.device = device.index

    async def _make_userspace(self, links: Sequence[Link]) -> None:
        if not links:
            return
        pairs = self._devices.make_pairs(self._mtus(links))
        try:
            with ExitStack() as opened:
                with namespaces.inside(self._home.fd):
                    incoming = [opened.enter_context(sockets.open_input(pair.far.index)) for pair in pairs]
                for sock, pair in zip(incoming, pairs, strict=True):
                    ignore_sender(sock, pair.near.mac)
                with namespaces.inside(self._wiring.switch.fd):
                    ports = [self._wiring.port(link.key.destination, link.key.network).index for link in links]
                    outgoing = [opened.enter_context(sockets.open_output(port)) for port in ports]
                await self._userspace.add(
                    [
                        NewLink(str(link.key), link.impairments, link.seed, source, output)
                        for link, source, output in zip(links, incoming, outgoing, strict=True)
                    ]
                )
        except BaseException:
            self._devices.delete(pair.near.index for pair in pairs)
            raise
        for link, pair in zip(links, pairs, strict=True):
            link.device = pair.near.index

    def _mtus(self, links: Iterable[Link]) -> dict[str, int]:
        return {str(link.key): self._wiring.port(link.key.destination, link.key.network).mtu for link in links}

    def switch_offloads_off(self, links: Iterable[Link]) -> None:
        """Have the senders of links hand over single packets, as the kernel's engine needs them.

        Raises:
            LabError: `offload-stays-on`; a node or a port is gone.
            OSError: the kernel's refusal.
        """
        interfaces = defaultdict(set)
        for port in (self._wiring.port(link.key.source, link.key.network) for link in links):
            interfaces[port.node].add(port.interface)
        for node, names in interfaces.items():
            offloads.switch_off(self._wiring.node(node).network, names, offloads.SEGMENTATION)

    async def replace(self, link: Link, impairments: Impairments) -> None:
        """Have a link do something else; one whose port is gone will, when it is back."""
        if link.device is None:
            pass
        elif link.engine == "netem":
            await self._apply_netem(link, link.device, impairments)
        else:
            await self._userspace.replace(str(link.key), impairments)
        link.impairments = impairments

    async def _apply_netem(self, link: Link, device: int, impairments: Impairments) -> None:
        mtu = self._wiring.port(link.key.destination, link.key.network).mtu
        seed = None if self._kernel.unrepeatable else link.seed
        await netem.apply(self._wiring.switch.ip, device, impairments, mtu=mtu, seed=seed)

    async def dismantle(self, links: Collection[Link]) -> None:
        """Have no engine carry links, and no device."""
        made = {link.device: link for link in links if link.device is not None}
        for link in made.values():
            if link.engine == "userspace":
                await self._userspace.remove(str(link.key))
        self._devices.delete(made)
        for link in made.values():
            link.device = None

    def delete(self, devices: Iterable[int]) -> None:
        """Remove devices, without a word to the engines."""
        self._devices.delete(devices)
