"""The engine in user space: each link has a veth pair, whose far end a worker process reads frames from."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from testbed.engines.engine import EngineAvailability, Verdict
from testbed.engines.userspace import packet_sockets
from testbed.engines.userspace.workers import SocketLink, Workers
from testbed.errors import LabError
from testbed.impairments import Cake
from testbed.linux import namespaces

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Sequence

    from testbed.engines.counters import Counters
    from testbed.engines.engine import NewLink, Switch, VethPair
    from testbed.impairments import Impairments


class _Carried(NamedTuple):
    """The near device and the port of a link."""

    device: int
    port: int


class UserspaceEngine:
    """Carries links by worker processes. When these or the agent end, the links pass nothing."""

    needs_single_packets = False

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._workers = Workers()
        self._links: dict[str, _Carried] = {}
        self._outputs: dict[int, socket.socket] = {}  # by port

    async def probe(self) -> EngineAvailability:
        """Return that it works: an agent may open packet sockets in its own namespaces."""
        return EngineAvailability(description=f"{len(os.sched_getaffinity(0))} cores to work on")

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:  # noqa: ARG002
        """Return that it does all impairments but CAKE exactly, and repeats them from a seed."""
        if impairments.bottleneck and isinstance(impairments.bottleneck.discipline, Cake):
            return Verdict(impossible="CAKE is only in the kernel")
        return Verdict()

    async def prepare(self, links: int) -> None:
        """Start the workers: that takes 100 ms."""
        await self._workers.prepare(links)

    async def attach(self, links: Sequence[NewLink]) -> list[int]:
        """Carry links, all or none, and return the devices to which their packets must be sent."""
        devices = self._switch.devices
        pairs = devices.make_pairs({link.name: link.mtu for link in links})
        indexes = [pair.near.index for pair in pairs]
        try:
            with ExitStack() as opened:
                inputs = [opened.enter_context(_open_input(pair)) for pair in pairs]
                for sock, pair in zip(inputs, pairs, strict=True):
                    packet_sockets.ignore_sender(sock, pair.near.mac)
                outputs = [opened.enter_context(self._output(link.port)) for link in links]
                await self._workers.add(
                    [
                        SocketLink(link.name, link.impairments, link.seed, source, output, link.origin_ns)
                        for link, source, output in zip(links, inputs, outputs, strict=True)
                    ]
                )
        except BaseException:
            devices.delete(indexes)
            self._close_unused_outputs()
            raise
        for link, index in zip(links, indexes, strict=True):
            self._links[link.name] = _Carried(index, link.port)
        return indexes

    def _output(self, port: int) -> socket.socket:
        """Return a descriptor of the one socket that all links to a port share.

        The kernel looks at every packet socket of a namespace whenever something happens to a device in it, and to add
        one (packet_notifier and packet_create in net/packet/af_packet.c), so that a socket for each link would take a
        time that grows with the square of their number.
        """
        if port not in self._outputs or not packet_sockets.device_name(self._outputs[port]):
            with namespaces.inside(self._switch.namespace):
                opened = packet_sockets.open_output(port)
            if port in self._outputs:
                self._outputs[port].close()
            self._outputs[port] = opened
        return self._outputs[port].dup()

    def _close_unused_outputs(self) -> None:
        for port in self._outputs.keys() - {carried.port for carried in self._links.values()}:
            self._outputs.pop(port).close()

    async def apply(self, link: str, impairments: Impairments) -> None:
        """Change a link's impairments. Delayed frames keep their delay; queued ones go to the new bottleneck."""
        self._require(link)
        await self._workers.replace(link, impairments)

    async def restart(self, links: Sequence[str], origin_ns: int | None = None) -> None:
        """Restart links: packet n then has the same fate whenever the seed is the same."""
        for link in links:
            self._require(link)
        await self._workers.restart(links, origin_ns)

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:
        """Return the counters of links; of those whose worker died only `dead` is known."""
        return await self._workers.counters(links)

    def dead(self) -> dict[str, str]:
        """Return the links whose worker has ended, and how."""
        return self._workers.dead()

    async def detach(self, links: Sequence[str]) -> None:
        """Stop carrying links, and remove their devices."""
        for link in links:
            await self._workers.remove(link)
        self._switch.devices.delete([self._links.pop(link).device for link in links])
        self._close_unused_outputs()

    async def close(self) -> None:
        """End the workers, and remove all devices of links."""
        self._switch.devices.delete([link.device for link in self._links.values()])
        self._links.clear()
        self._close_unused_outputs()
        await self._workers.aclose()

    def _require(self, link: str) -> None:
        if link not in self._links:
            known = ", ".join(sorted(self._links)) or "none"
            raise LabError("userspace-engine-refused", f"link {link} is not impaired here; those are: {known}")


def _open_input(pair: VethPair) -> socket.socket:
    with namespaces.inside(pair.far_network):
        return packet_sockets.open_input(pair.far.index)
