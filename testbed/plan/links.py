"""Links of the file to links of the plan: one per direction that anything is asked of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.plan.model import Link
from testbed.plan.seeds import derive
from testbed.topology.models import Direction, Topology

if TYPE_CHECKING:
    from testbed.topology.models import Pair

Key = tuple[str, str, str]
"""Source, destination, network."""


def resolve_links(topology: Topology, *, seed: int, engine: str | None) -> tuple[Link, ...]:
    """The links of `topology`, in the order of the file; `engine` overrides the file's."""
    asked = _asked(topology)
    links = []
    for (source, destination, network), link in asked.items():
        back = asked.get((destination, source, network))
        shape = link.impairment.shape(
            mtu=topology.networks[network].mtu,
            delay_back_ns=(back.impairment.delay_ns or 0) if back else 0,
        )
        if not shape.is_clear:
            links.append(
                Link(
                    source=source,
                    destination=destination,
                    network=network,
                    shape=shape,
                    seed=derive(seed, f"link {network} {source} {destination}"),
                    engine=engine or link.engine or topology.engine,
                    profile=link.profile,
                )
            )
    return tuple(links)


def _asked(topology: Topology) -> dict[Key, Pair | Direction]:
    """By direction, the link that counts: `from`/`to` before `between`, whichever comes first in the file."""
    asked: dict[Key, Pair | Direction] = {}
    for link in topology.links:
        for source, destination in link.directions:
            key = (source, destination, topology.network_between(source, destination, link.network))
            if key not in asked or isinstance(link, Direction):
                asked[key] = link
    return asked
