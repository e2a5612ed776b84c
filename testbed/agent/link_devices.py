"""The devices on the switch side that links are made of, and how those of a lab are found again."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

from testbed.agent import offloads

if TYPE_CHECKING:
    from pyroute2 import AsyncIPRoute

    from testbed.agent.wiring import NetworkNamespace

_ADDRESS_GENERATION_OFF = 1  # IN6_ADDR_GEN_MODE_NONE, include/uapi/linux/if_link.h
_SO_ATTACH_FILTER = 26


class LinkDevices:
    """Makes the devices of a lab, each with an alias by which it is found again.

    Args:
        lab: whose they are.
        switch: the namespace of the switch side.
        home: the agent's own.
    """

    def __init__(self, lab: str, switch: NetworkNamespace, home: NetworkNamespace) -> None:
        self._lab = lab
        self._switch = switch
        self._home = home
        self._made = 0

    async def make_ifb(self, purpose: str, mtu: int) -> int:
        """Make a device that gives back what is sent to it, when its queueing disciplines let it; its index."""
        name = f"{self._new_name()}b"
        await self._switch.ip.link("add", ifname=name, kind="ifb", mtu=mtu)
        index: int = (await self._switch.ip.link_lookup(ifname=name))[0]
        await _quietly_up(self._switch.ip, index)
        await self._set_alias(index, purpose)
        return index

    async def make_pair(self, purpose: str, mtu: int) -> tuple[int, int]:
        """Make a veth pair: a device without offloads on the switch side, its far end in the agent's own namespace.

        The far end goes when the agent does, and the near one with it: what would have crossed is dropped from then on.

        Returns:
            The indexes of both, the near one first.
        """
        name = self._new_name()
        near, far = f"{name}i", f"{name}o"
        peer = {"ifname": far, "net_ns_fd": self._home.fd, "mtu": mtu}
        await self._switch.ip.link("add", ifname=near, kind="veth", mtu=mtu, peer=peer)
        found = []
        for namespace, device in ((self._home, far), (self._switch, near)):
            index = (await namespace.ip.link_lookup(ifname=device))[0]
            offloads.switch_off(namespace.fd, device, offloads.ALL)
            await _quietly_up(namespace.ip, index)
            found.append(index)
        await self._set_alias(found[1], purpose)
        return found[1], found[0]

    async def delete(self, index: int) -> None:
        """Remove a device, which may have gone already."""
        with suppress(NetlinkError):
            await self._switch.ip.link("del", index=index)

    def _new_name(self) -> str:
        self._made += 1
        return f"tb{zlib.crc32(self._lab.encode()) & 0xFFFFFF:06x}{self._made:x}"

    async def _set_alias(self, index: int, purpose: str) -> None:
        await self._switch.ip.link("set", index=index, ifalias=f"{alias(self._lab)}{purpose}")


async def _quietly_up(ip: AsyncIPRoute, index: int) -> None:
    """Switch a device on without IPv6 addresses, so that the kernel sends nothing of its own through it.

    A device whose MTU is below IPv6's least, 1280 bytes, has no IPv6 at all, nor has any on a kernel without it.
    """
    quiet = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDRESS_GENERATION_OFF)]})]}
    try:
        await ip.link("set", index=index, IFLA_AF_SPEC=quiet)
    except NetlinkError as error:
        if error.code != errno.EAFNOSUPPORT:
            raise
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


def ignore_sender(incoming: socket.socket, mac: str) -> None:
    """Keep one sender's frames from a packet socket: classic BPF, see Documentation/networking/filter.rst.

    The sender is the near device of a pair: nothing that the kernel itself sends on it is a packet of the link.
    """
    octets = bytes.fromhex(mac.replace(":", ""))
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 6),  # ld [6]: the first four bytes of the source MAC
            (0x15, 0, 3, int.from_bytes(octets[:4], "big")),  # jne keep
            (0x28, 0, 0, 10),  # ldh [10]: the other two
            (0x15, 0, 1, int.from_bytes(octets[4:], "big")),  # jne keep
            (0x06, 0, 0, 0),  # ret nothing
            (0x06, 0, 0, 0x40000),  # keep: ret all of it
        )
    )
    buffer = ctypes.create_string_buffer(program)
    incoming.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    )
