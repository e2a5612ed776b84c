"""The impairments of links that a topology has under `links`, which is what they are like before any event."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.topology.models import Applied, Topology


def link_impairments(
    topology: Topology, same: dict[Impairments, Impairments] | None = None
) -> dict[LinkKey, Impairments]:
    """Return the impairments of the links that a file names; those of others are clear.

    Args:
        topology: as it was read.
        same: known impairments, each by itself, and those that are new: equal impairments are one object, so that `is`
            compares them.
    """
    entries = topology.applied()
    same = {} if same is None else same
    known: dict[tuple[int, int, int], Impairments] = {}  # computed once for all links of the same keys
    resolved = {}
    for key, link in entries.items():
        mtu = topology.segments[key.network].mtu
        back_ns = _delay_ns(entries.get(key.back, entries.get(key.back.plain)))
        place = id(link.keys), mtu, back_ns
        if place not in known:
            impairments = link.keys.resolve(mtu=mtu, delay_back_ns=back_ns)
            known[place] = same.setdefault(impairments, impairments)
        resolved[key] = known[place]
    return resolved


def _delay_ns(link: Applied | None) -> int:
    return (link.keys.delay_ns or 0) if link else 0
