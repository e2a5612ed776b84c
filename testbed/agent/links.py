"""Links with impairments: for each a device on the switch side, and a rule on the receiver's port that leads to it.

source -> bridge -> port --clsact egress, u32 by source MAC, mirred--> device of the link
                      ^                                                    |
                      +---- netem on ifb, or the userspace engine ---------+

A port of such a network passes nothing whose source it does not know (`filters`), so that no packet crosses without
the impairments that the file asks for.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import offloads, switch
from testbed.agent.link_devices import LinkDevices, ignore_sender
from testbed.agent.port_rules import PortRules
from testbed.agent.wiring import NetworkNamespace
from testbed.engines import netem
from testbed.engines.userspace import sockets
from testbed.engines.userspace.stats import LinkStats
from testbed.errors import LabError
from testbed.impairments import Impairments
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from testbed.agent.wiring import Port, Wiring
    from testbed.engines.choice import Kernel
    from testbed.engines.userspace.engine import UserspaceEngine


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
class _Link:
    """A link; `device` is None while the receiver's port is gone."""

    key: Key
    addresses: Mapping[str, str]
    engine: str
    why: str
    impairments: Impairments
    seed: int
    device: int | None = None


@dataclass(slots=True)
class Links:
    """All links of a lab that have impairments, and the rules of the ports that they lead to."""

    lab: str
    wiring: Wiring
    home: NetworkNamespace
    userspace: UserspaceEngine
    kernel: Kernel
    rules: PortRules = field(init=False)
    _devices: LinkDevices = field(init=False)
    _links: dict[Key, _Link] = field(default_factory=dict)
    _exclusive: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.rules = PortRules(self.wiring)
        self._devices = LinkDevices(self.lab, self.wiring.switch, self.home)

    async def impairments(self, wanted: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        """Give links their impairments; a link that has one gets the new one in its place, whole.

        Args:
            wanted: `source`, `destination`, `network`, `addresses` (of both, by name), `impairments`, `later` (the
                impairments that a run gives it), `seed`, `engine` and `repeatable` (the seed was asked for) of each
                link.

        Returns:
            `engine` and `why` of each, in the same order.

        Raises:
            MachineError: `engine-unavailable`.
            LabError: impairments could not be applied, or reads back otherwise; `port-gone`.
        """
        async with self._exclusive:
            made: list[_Link] = []
            replaced: list[_Link] = []
            done = []
            try:
                for each in wanted:
                    key = Key(each["source"], each["destination"], each["network"])
                    for node in (key.source, key.destination):
                        port = self.wiring.port(node, key.network)
                    impairments, later = (
                        Impairments.from_json(each["impairments"]),
                        [Impairments.from_json(one) for one in each["later"]],
                    )
                    engine, why = self.kernel.choose(
                        str(key), [impairments, *later], each["engine"], mtu=port.mtu, repeatable=each["repeatable"]
                    )
                    done.append({"engine": engine, "why": why})
                    present = self._links.get(key)
                    if present and present.engine == engine:
                        await self._replace(present, impairments)
                        continue
                    link = _Link(
                        key=key,
                        addresses=each["addresses"],
                        engine=engine,
                        why=why,
                        impairments=impairments,
                        seed=each["seed"],
                    )
                    with _refusals(link):
                        await self._make(link)
                    self._links[key] = link
                    made.append(link)
                    replaced += [present] if present else []
            finally:
                await self._connect(made)
                for link in replaced:
                    await self._dismantle(link)
            return done

    async def _connect(self, links: Collection[_Link]) -> None:
        """Have packets take links that are ready for them."""
        if not links:
            return
        if self.rules.sink is None:
            self.rules.sink, _ = await self._devices.make_pair("sink", _SINK_MTU)
        for port in {self.wiring.port(link.key.destination, link.key.network) for link in links}:
            with _refusals(port):
                self._set_rules(port)
        for link in links:
            with _refusals(link):
                await self._introduce(link)

    async def change(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Give impaired links other impairments, by the engines that they have. All are tried, also after a failure.

        Args:
            changes: `source`, `destination`, `network` and `impairments` of each link.

        Raises:
            LabError: the first failure: a link is not impaired, or impairments could not be applied.
        """
        failures: list[LabError] = []
        async with self._exclusive:
            for each in changes:
                key, impairments = (
                    Key(each["source"], each["destination"], each["network"]),
                    Impairments.from_json(each["impairments"]),
                )
                try:
                    if self._impaired(key).impairments != impairments:
                        await self._replace(self._impaired(key), impairments)
                except LabError as failure:
                    failures.append(failure)
        if failures:
            raise failures[0]

    def _impaired(self, key: Key) -> _Link:
        if key not in self._links:
            raise LabError("not-impaired", f"{key} is not a impaired link", "take the lab down and bring it up again")
        return self._links[key]

    def dead(self) -> dict[str, str]:
        """The links that pass nothing any more because what carried them has ended, and how that was."""
        return self.userspace.dead()

    async def restart(self) -> None:
        """Have every link begin anew: the same seed then gives packet n the same fate, whatever crossed before.

        Packets in flight are dropped. The kernel's engine has nothing to begin anew.
        """
        async with self._exclusive:
            for key, link in self._links.items():
                if link.engine == "userspace" and link.device is not None:
                    await self.userspace.restart(str(key), link.impairments, link.seed)

    async def statistics(self) -> list[dict[str, Any]]:
        """What became of the packets of each link, as its engine counts."""
        by_userspace = await self.userspace.stats()
        found = []
        for key, link in tuple(self._links.items()):
            if link.engine == "netem":
                counts = asdict(await self._netem_statistics(link))
            else:
                gone = LinkStats(dead=self.wiring.gone.get((key.destination, key.network), "it is being made"))
                counts = asdict(by_userspace.get(str(key), gone))
            found.append(
                {
                    "source": key.source,
                    "destination": key.destination,
                    "network": key.network,
                    "engine": link.engine,
                    "why": link.why,
                    "impairments": link.impairments.to_json(),
                    "counts": counts,
                }
            )
        return found

    async def _netem_statistics(self, link: _Link) -> netem.Statistics:
        if link.device is None:
            return netem.Statistics(packets=0, bytes=0, lost=0, overflowed=0, queued_packets=0, queued_bytes=0)
        return await netem.statistics(self.wiring.switch.ip, link.device)

    async def attach(self, port: Port) -> bool:
        """Have the links of a port work again, where it was gone; False where none leads to or from it.

        Links that lead to it are made anew: what was in flight is lost, and they count and draw from the beginning.

        Raises:
            LabError: a link can't be made.
            OSError: the port has gone again.
        """
        async with self._exclusive:
            to_port = [link for key, link in self._links.items() if (key.destination, key.network) == _place(port)]
            from_port = [link for key, link in self._links.items() if (key.source, key.network) == _place(port)]
            for link in to_port:
                await self._dismantle(link)
                await self._make(link)
            await self._adapt(port, [*to_port, *from_port])
            return bool(to_port or from_port)

    async def follow(self, port: Port) -> None:
        """Treat all MACs that a node sends with at a port alike, also new ones.

        Raises:
            LabError, OSError: as `attach`.
        """
        async with self._exclusive:
            ends = port.node, port.network
            links = [key for key in self._links if ends in ((key.source, key.network), (key.destination, key.network))]
            await self._adapt(port, [self._links[key] for key in links])

    async def _adapt(self, port: Port, links: Collection[_Link]) -> None:
        """Have the nodes and the ports of a network know a port as it is now."""
        for link in links:
            if link.engine == "netem" and link.key.source == port.node:
                self._switch_offloads_off(link)
        for place, each in self.wiring.ports.items():
            if each.network == port.network and place not in self.wiring.gone:
                self._set_rules(each)
        for link in links:
            key = link.key
            if not {(key.source, key.network), (key.destination, key.network)} & self.wiring.gone.keys():
                await self._introduce(link)

    def _set_rules(self, port: Port) -> None:
        """Have a port send packets to the links that lead to it."""
        leading = [link for key, link in self._links.items() if (key.destination, key.network) == _place(port)]
        self.rules.set(port, {link.key.source: link.device for link in leading})

    async def detach(self, port: Port) -> None:
        """Take the links apart that lead to a port that is gone; they keep their impairments, for when it is back."""
        async with self._exclusive:
            self.rules.forget(port.index)
            for key, link in self._links.items():
                if (key.destination, key.network) == _place(port):
                    await self._dismantle(link)

    async def _make(self, link: _Link) -> None:
        """Make the device of a link, and have an engine carry out its impairments."""
        key = link.key
        port = self.wiring.port(key.destination, key.network)
        if link.engine == "netem":
            self._switch_offloads_off(link)
            device = await self._devices.make_ifb(str(key), port.mtu)
            seed = None if self.kernel.unrepeatable else link.seed
            await netem.apply(self.wiring.switch.ip, device, link.impairments, mtu=port.mtu, seed=seed)
        else:
            device, far = await self._devices.make_pair(str(key), port.mtu)
            with namespaces.inside(self.home.fd):
                incoming = sockets.open_input(far)
            ignore_sender(incoming, switch.devices(self.wiring.route, device)[0].mac)
            with namespaces.inside(self.wiring.switch.fd):
                outgoing = sockets.open_output(port.index)
            await self.userspace.add(str(key), link.impairments, link.seed, incoming, outgoing)
        link.device = device

    def _switch_offloads_off(self, link: _Link) -> None:
        """Have a sender hand over single packets, as the kernel's engine needs them."""
        port = self.wiring.port(link.key.source, link.key.network)
        offloads.switch_off(self.wiring.node(port.node).network, port.interface, offloads.SEGMENTATION)

    async def _introduce(self, link: _Link) -> None:
        """Have both ends know each other's MAC for good.

        No ARP of theirs then crosses the link, as none would cross the long line that it stands for: the first packet
        takes no longer than the others, and which packet is the n-th does not depend on when ARP asks again.
        """
        key = link.key
        for node, other in ((key.source, key.destination), (key.destination, key.source)):
            here, there = self.wiring.port(node, key.network), self.wiring.port(other, key.network)
            async with NetworkNamespace(self.wiring.node(node).network) as inside:
                found = await inside.ip.link_lookup(ifname=here.interface)
                if not found:
                    raise OSError(errno.ENODEV, f"{here} has no interface {here.interface} any more")
                known = {"ifindex": found[0], "dst": link.addresses[other], "lladdr": there.mac, "state": "permanent"}
                await inside.ip.neigh("replace", **known)

    async def _replace(self, link: _Link, impairments: Impairments) -> None:
        """Have a link do something else; one whose port is gone will, when it is back."""
        if link.device is None:
            pass
        elif link.engine == "netem":
            mtu = self.wiring.port(link.key.destination, link.key.network).mtu
            seed = None if self.kernel.unrepeatable else link.seed
            await netem.apply(self.wiring.switch.ip, link.device, impairments, mtu=mtu, seed=seed)
        else:
            await self.userspace.replace(str(link.key), impairments)
        link.impairments = impairments

    async def _dismantle(self, link: _Link) -> None:
        """Have no engine carry a link, and no device."""
        if link.device is None:
            return
        if link.engine == "userspace":
            await self.userspace.remove(str(link.key))
        await self._devices.delete(link.device)
        link.device = None

    async def close(self) -> None:
        """Remove all devices; packets that would cross them are dropped at the port from then on."""
        for device in (*(link.device for link in self._links.values()), self.rules.sink):
            if device is not None:
                await self._devices.delete(device)
        self._links.clear()


@contextmanager
def _refusals(what: _Link | Port) -> Iterator[None]:
    """Turn what the kernel refuses into an error that says of what."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        name = what.key if isinstance(what, _Link) else what
        raise LabError("impairments-not-applied", f"{name}: the kernel refused: {error}") from None


def _place(port: Port) -> tuple[str, str]:
    """What names a port, however often it comes and goes."""
    return port.node, port.network
