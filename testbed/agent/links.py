"""Shaped links: for each a device on the switch side, and a filter on the receiver's port that leads to it.

source -> bridge -> port --clsact egress, u32 by source MAC, mirred--> device of the link
                      ^                                                    |
                      +---- netem on ifb, or the userspace engine ---------+
"""

from __future__ import annotations

import ctypes
import socket
import struct
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import filters, namespaces, netem, offloads
from testbed.agent.userspace import sockets
from testbed.agent.wiring import NetworkNamespace
from testbed.errors import LabError
from testbed.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroute2 import AsyncIPRoute

    from testbed.agent.choosing import Kernel
    from testbed.agent.userspace.engine import UserspaceEngine
    from testbed.agent.wiring import Port, Wiring

_ADDRESS_GENERATION_OFF = 1  # IN6_ADDR_GEN_MODE_NONE, include/uapi/linux/if_link.h
_SO_ATTACH_FILTER = 26


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
    key: Key
    port: Port
    number: int
    engine: str
    why: str
    shape: Shape
    seed: int
    device: int


@dataclass(slots=True)
class Links:
    """All shaped links of a lab."""

    lab: str
    wiring: Wiring
    home: NetworkNamespace
    userspace: UserspaceEngine
    kernel: Kernel
    _links: dict[Key, _Link] = field(default_factory=dict)
    _made: int = 0

    async def shape(self, wanted: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        """Give links their shapes; a link that has one gets the new one in its place, whole.

        Args:
            wanted: `source`, `destination`, `network`, `addresses` (of both, by name), `shape`, `later` (the shapes
                that a run gives it), `seed`, `engine` and `repeatable` (the seed was asked for) of each link.

        Returns:
            `engine` and `why` of each, in the same order.

        Raises:
            MachineError: `engine-unavailable`.
            LabError: a shape could not be applied, or reads back otherwise.
        """
        done = []
        for each in wanted:
            key = Key(each["source"], each["destination"], each["network"])
            shape = Shape.from_json(each["shape"])
            later = [Shape.from_json(one) for one in each["later"]]
            mtu = self.wiring.port(key.destination, key.network).mtu
            engine, why = self.kernel.choose(
                str(key), [shape, *later], each["engine"], mtu=mtu, repeatable=each["repeatable"]
            )
            try:
                present = self._links.get(key)
                if present and present.engine == engine:
                    await self._replace(present, shape)
                else:
                    # The new filter comes behind the old one, so that removing the old one is the moment of change.
                    self._links[key] = await self._make(key, shape, each["seed"], engine, why)
                    await self._introduce(key, each["addresses"])
                    if present:
                        await self._remove(present)
            except NetlinkError as error:
                raise LabError("shape-not-applied", f"{key}: the kernel refused: {error}") from None
            done.append({"engine": engine, "why": why})
        return done

    async def change(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Give shaped links other shapes, by the engines that they have. All are tried, whatever becomes of the others.

        Args:
            changes: `source`, `destination`, `network` and `shape` of each link.

        Raises:
            LabError: the first failure: a link is not shaped, or a shape could not be applied.
        """
        failures: list[LabError] = []
        for each in changes:
            key, shape = Key(each["source"], each["destination"], each["network"]), Shape.from_json(each["shape"])
            try:
                if self._shaped(key).shape != shape:
                    await self._replace(self._shaped(key), shape)
            except LabError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def _shaped(self, key: Key) -> _Link:
        if key not in self._links:
            raise LabError("not-shaped", f"{key} is not a shaped link", "take the lab down and bring it up again")
        return self._links[key]

    def dead(self) -> dict[str, str]:
        """The links that pass nothing any more because what carried them has ended, and how that was."""
        return self.userspace.dead()

    async def restart(self) -> None:
        """Have every link begin anew: the same seed then gives packet n the same fate, whatever crossed before.

        Packets in flight are dropped. The kernel's engine has nothing to begin anew.
        """
        for key, link in self._links.items():
            if link.engine == "userspace":
                await self.userspace.restart(str(key), link.shape, link.seed)

    async def statistics(self) -> list[dict[str, Any]]:
        """What became of the packets of each link, as its engine counts."""
        by_userspace = await self.userspace.stats()
        found = []
        for key, link in self._links.items():
            if link.engine == "netem":
                counts = asdict(await netem.statistics(self.wiring.switch.ip, link.device))
            else:
                counts = asdict(by_userspace[str(key)])
            found.append(
                {
                    "source": key.source,
                    "destination": key.destination,
                    "network": key.network,
                    "engine": link.engine,
                    "why": link.why,
                    "shape": link.shape.to_json(),
                    "counts": counts,
                }
            )
        return found

    async def _make(self, key: Key, shape: Shape, seed: int, engine: str, why: str) -> _Link:
        port = self.wiring.port(key.destination, key.network)
        source = self.wiring.port(key.source, key.network)
        self._made += 1
        ip = self.wiring.switch.ip
        name = f"tb{zlib.crc32(self.lab.encode()) & 0xFFFFFF:06x}{self._made:x}"
        if engine == "netem":
            offloads.switch_off(self.wiring.node(key.source).network, source.interface, offloads.SEGMENTATION)
            device = await self._make_ifb(f"{name}b", port.mtu)
            await netem.apply(ip, device, shape, mtu=port.mtu, seed=None if self.kernel.unrepeatable else seed)
        else:
            device, far = await self._make_pair(name, port.mtu)
            with namespaces.inside(self.home.fd):
                incoming = sockets.open_input(far)
            _only_from(incoming, source.mac)
            with namespaces.inside(self.wiring.switch.fd):
                outgoing = sockets.open_output(port.index)
            await self.userspace.add(str(key), shape, seed, incoming, outgoing)
        await ip.link("set", index=device, ifalias=f"{alias(self.lab)}{key}")
        link = _Link(
            key=key, port=port, number=self._made, engine=engine, why=why, shape=shape, seed=seed, device=device
        )
        await filters.prepare(ip, port.index)
        await filters.redirect(ip, port.index, self._made, source.mac, device)
        return link

    async def _introduce(self, key: Key, addresses: Mapping[str, str]) -> None:
        """Have both ends know each other's MAC for good.

        No ARP of theirs then crosses the link, as none would cross the long line that it stands for: the first packet
        takes no longer than the others, and which packet is the n-th does not depend on when ARP asks again.
        """
        for node, other in ((key.source, key.destination), (key.destination, key.source)):
            here, there = self.wiring.port(node, key.network), self.wiring.port(other, key.network)
            async with NetworkNamespace(self.wiring.node(node).network) as inside:
                (index,) = await inside.ip.link_lookup(ifname=here.interface)
                known = {"ifindex": index, "dst": addresses[other], "lladdr": there.mac, "state": "permanent"}
                await inside.ip.neigh("replace", **known)

    async def _make_ifb(self, name: str, mtu: int) -> int:
        ip = self.wiring.switch.ip
        await ip.link("add", ifname=name, kind="ifb", mtu=mtu)
        index: int = (await ip.link_lookup(ifname=name))[0]
        await _quietly_up(ip, index)
        return index

    async def _make_pair(self, name: str, mtu: int) -> tuple[int, int]:
        """A veth pair: a device without offloads on the switch side, its far end in the agent's own namespace."""
        near, far = f"{name}i", f"{name}o"
        peer = {"ifname": far, "net_ns_fd": self.home.fd, "mtu": mtu}
        await self.wiring.switch.ip.link("add", ifname=near, kind="veth", mtu=mtu, peer=peer)
        found = []
        for namespace, device in ((self.home, far), (self.wiring.switch, near)):
            index = (await namespace.ip.link_lookup(ifname=device))[0]
            offloads.switch_off(namespace.fd, device, offloads.ALL)
            await _quietly_up(namespace.ip, index)
            found.append(index)
        return found[1], found[0]

    async def _replace(self, link: _Link, shape: Shape) -> None:
        if link.engine == "netem":
            seed = None if self.kernel.unrepeatable else link.seed
            await netem.apply(self.wiring.switch.ip, link.device, shape, mtu=link.port.mtu, seed=seed)
        else:
            await self.userspace.replace(str(link.key), shape)
        link.shape = shape

    async def _remove(self, link: _Link) -> None:
        await filters.remove(self.wiring.switch.ip, link.port.index, link.number)
        if link.engine == "userspace":
            await self.userspace.remove(str(link.key))
        await self.wiring.switch.ip.link("del", index=link.device)

    async def close(self) -> None:
        """Remove all devices; packets that would cross them are dropped at the port from then on."""
        for link in self._links.values():
            with suppress(NetlinkError):  # gone with its namespace
                await self.wiring.switch.ip.link("del", index=link.device)
        self._links.clear()


async def _quietly_up(ip: AsyncIPRoute, index: int) -> None:
    """Switch a device on without IPv6 addresses, so that the kernel sends nothing of its own through it."""
    quiet = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDRESS_GENERATION_OFF)]})]}
    await ip.link("set", index=index, IFLA_AF_SPEC=quiet)
    await ip.link("set", index=index, state="up")


def alias(lab: str) -> str:
    """How the alias of every device of a lab starts."""
    return f"testbed {lab} "


async def sweep(namespace: NetworkNamespace, lab: str) -> int:
    """Remove what an agent that was killed left in the machine's namespace; the number of devices removed."""
    left = [
        link["index"]
        async for link in await namespace.ip.get_links()
        if (link.get("ifalias") or "").startswith(alias(lab))
    ]
    for index in left:
        with suppress(NetlinkError):  # the other half of a pair that has just gone
            await namespace.ip.link("del", index=index)
    return len(left)


def _only_from(incoming: socket.socket, mac: str) -> None:
    """Let a packet socket see only the frames of one sender: classic BPF, see Documentation/networking/filter.rst."""
    octets = bytes.fromhex(mac.replace(":", ""))
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 6),  # ld [6]: the first four bytes of the source MAC
            (0x15, 0, 3, int.from_bytes(octets[:4], "big")),  # jne drop
            (0x28, 0, 0, 10),  # ldh [10]: the other two
            (0x15, 0, 1, int.from_bytes(octets[4:], "big")),  # jne drop
            (0x06, 0, 0, 0x40000),  # ret all of it
            (0x06, 0, 0, 0),  # drop: ret nothing
        )
    )
    buffer = ctypes.create_string_buffer(program)
    incoming.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    )
