"""The engine in the kernel: each link has an ifb device, whose queueing disciplines carry its impairments out."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.engines.engine import EngineAvailability, Verdict
from testbed.engines.netem import fidelity, police, tree
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from testbed.engines.counters import Counters
    from testbed.engines.engine import NewLink, Switch
    from testbed.impairments import Impairments


@dataclass(frozen=True, slots=True)
class _DeviceLink:
    """A link by its device; `seed` is None where the kernel takes none."""

    device: int
    mtu: int
    seed: int | None


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn an error of pyroute2, which the agent does not know, into the kernel's own."""
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from None


class NetemEngine:
    """Carries links by the kernel, which continues to impair them when the agent ends."""

    needs_single_packets = True

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._ip: AsyncIPRoute
        self._links: dict[str, _DeviceLink] = {}
        self._unseeded: str | None = None
        self._missing: frozenset[str] = frozenset()
        self._policed: set[str] = set()  # the links that have a policer

    async def probe(self) -> EngineAvailability:
        """See `testbed.engines.engine.Engine.probe`."""
        with namespaces.inside(self._switch.namespace):
            self._ip = AsyncIPRoute()
            self._ip.socket  # noqa: B018  # opens the socket now, while we are inside
        await self._ip.setup_endpoint()
        missing = await tree.probe(self._ip)
        if not missing:
            self._unseeded = await tree.reproducible(self._ip)
            self._missing = await tree.missing_parts(self._ip)
        return EngineAvailability(description=f"in kernel {os.uname().release}", missing=missing)

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:
        """Return how faithfully netem does impairments, see `testbed.engines.netem.fidelity`."""
        if reason := fidelity.supports(impairments, mtu=mtu):
            return Verdict(impossible=reason)
        if impairments.bottleneck and (kind := impairments.bottleneck.discipline.kind) in self._missing:
            return Verdict(impossible=f"this kernel has no sch_{kind}")
        if impairments.policer and police.KIND in self._missing:
            return Verdict(impossible="this kernel has no act_police and cls_matchall")
        return Verdict(
            inexact=fidelity.compromises(impairments, mtu=mtu),
            unrepeatable=self._unseeded or fidelity.unrepeatable(impairments),
        )

    async def prepare(self, links: int) -> None:
        """Do nothing: devices are made at once."""

    async def attach(self, links: Sequence[NewLink]) -> list[int]:
        """Carry links, all or none, and return their devices."""
        indexes = [device.index for device in self._switch.devices.make_ifbs({link.name: link.mtu for link in links})]
        carried = {
            link.name: _DeviceLink(index, link.mtu, None if self._unseeded else link.seed)
            for link, index in zip(links, indexes, strict=True)
        }
        try:
            for link in links:
                await self._apply(link.name, carried[link.name], link.impairments)
        except BaseException:
            self._switch.devices.delete(indexes)
            raise
        self._links |= carried
        return indexes

    async def apply(self, link: str, impairments: Impairments) -> None:
        """Change a link's impairments. Packets in flight keep their delay; see `tree.apply`."""
        await self._apply(link, self._carried(link), impairments)

    async def _apply(self, link: str, carried: _DeviceLink, impairments: Impairments) -> None:
        with _refusals():
            if impairments.policer:
                await police.apply(self._ip, carried.device, impairments.policer)
                self._policed.add(link)
            elif link in self._policed:
                await police.remove(self._ip, carried.device)
                self._policed.discard(link)
            await tree.apply(self._ip, carried.device, impairments, mtu=carried.mtu, seed=carried.seed)

    async def restart(self, links: Sequence[str], origin_ns: int | None = None) -> None:  # noqa: ARG002
        """Do nothing: the kernel can't restart counters and random numbers without losing packets in flight."""
        for link in links:
            self._carried(link)

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:
        """Return the counters of every link, or of those of `links` that are carried here.

        Raises:
            LabError: `impairments-missing`: another program changed a link's device.
        """
        wanted = set(self._links if links is None else links)
        return {name: await self._counters(name, link) for name, link in tuple(self._links.items()) if name in wanted}

    async def _counters(self, name: str, link: _DeviceLink) -> Counters:
        with _refusals():
            counters = await tree.counters(self._ip, link.device)
            if name not in self._policed:
                return counters
            return replace(counters, policed=await police.drops(self._ip, link.device))

    def dead(self) -> dict[str, str]:
        """Return no links: the kernel does not end before the agent."""
        return {}

    async def detach(self, links: Sequence[str]) -> None:
        """Stop carrying links, and remove their devices."""
        self._policed.difference_update(links)
        self._switch.devices.delete(self._links.pop(link).device for link in links)

    async def close(self) -> None:
        """Remove all devices of links."""
        await self.detach([*self._links])
        self._ip.close()

    def _carried(self, link: str) -> _DeviceLink:
        if link not in self._links:
            raise LabError("netem-engine-refused", f"link {link} is not impaired here")
        return self._links[link]
