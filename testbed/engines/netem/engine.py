"""The engine in the kernel: each link has an ifb device, whose queueing disciplines carry its impairments out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroute2 import AsyncIPRoute

from testbed.engines.engine import Availability, Verdict
from testbed.engines.netem import fidelity, tree
from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.engines.counters import Counters
    from testbed.engines.engine import NewLink, Switch
    from testbed.impairments import Impairments


@dataclass(frozen=True, slots=True)
class _Carried:
    """A link by its device; `seed` is None where the kernel takes none."""

    device: int
    mtu: int
    seed: int | None


class NetemEngine:
    """Carries links by the kernel, which continues to impair them when the agent ends."""

    needs_single_packets = True

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._ip: AsyncIPRoute
        self._links: dict[str, _Carried] = {}
        self._unseeded: str | None = None

    async def probe(self) -> Availability:
        """See `testbed.engines.engine.Engine.probe`."""
        with namespaces.inside(self._switch.namespace):
            self._ip = AsyncIPRoute()
            self._ip.socket  # noqa: B018  # opens the socket now, while we are inside
        await self._ip.setup_endpoint()
        missing = await tree.probe(self._ip)
        self._unseeded = None if missing else await tree.reproducible(self._ip)
        return Availability(description=f"in kernel {os.uname().release}", missing=missing)

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:
        """Return how faithfully netem does impairments, see `testbed.engines.netem.fidelity`."""
        if reason := fidelity.supports(impairments, mtu=mtu):
            return Verdict(impossible=reason)
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
            link.name: _Carried(index, link.mtu, None if self._unseeded else link.seed)
            for link, index in zip(links, indexes, strict=True)
        }
        try:
            for link in links:
                await self._apply(carried[link.name], link.impairments)
        except BaseException:
            self._switch.devices.delete(indexes)
            raise
        self._links |= carried
        return indexes

    async def apply(self, link: str, impairments: Impairments) -> None:
        """Change a link's impairments. Packets in flight keep their delay; see `tree.apply`."""
        await self._apply(self._carried(link), impairments)

    async def _apply(self, carried: _Carried, impairments: Impairments) -> None:
        await tree.apply(self._ip, carried.device, impairments, mtu=carried.mtu, seed=carried.seed)

    async def restart(self, links: Sequence[str]) -> None:
        """Do nothing: the kernel can't restart counters and random numbers without losing packets in flight."""
        for link in links:
            self._carried(link)

    async def counters(self) -> dict[str, Counters]:
        """Return the counters of every link.

        Raises:
            LabError: `impairments-missing`: another program changed a link's device.
        """
        return {name: await tree.counters(self._ip, link.device) for name, link in tuple(self._links.items())}

    def dead(self) -> dict[str, str]:
        """Return no links: the kernel does not end before the agent."""
        return {}

    async def detach(self, links: Sequence[str]) -> None:
        """Carry links no more, and remove their devices."""
        self._switch.devices.delete(self._links.pop(link).device for link in links)

    async def close(self) -> None:
        """Remove all devices of links."""
        await self.detach([*self._links])
        self._ip.close()

    def _carried(self, link: str) -> _Carried:
        if link not in self._links:
            raise LabError("netem-engine-refused", f"link {link} is not impaired here")
        return self._links[link]
