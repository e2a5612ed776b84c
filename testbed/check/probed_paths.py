"""What probes of a link cross besides it: the uplink of the sender and the downlink of the receiver.

A link between two nodes can't be measured without these, nor an uplink without a receiver. Then the link is judged as
the path that its probes take; an uplink or downlink is probed with the neighbour to whom the fewest other impairments
lie on the way, so often with none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.check.paths import Path, combined, combined_loss
from testbed.impairments import CLEAR
from testbed.matching import ANY_NODE, LinkKey, crossed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.impairments import Impairments
    from testbed.matching import Match
    from testbed.plan.model import Link, Plan

_Impaired = dict[LinkKey, dict["Match | None", "Impairments"]]

BY_MATCH = "what else its packets cross depends on the packets (match)"
NO_NEIGHBOUR = "no other node is on its network"


def as_probed(plan: Plan, links: Sequence[Link]) -> list[Link | Path]:
    """Return each link as it can be probed: alone, or as the path that its probes take.

    Args:
        plan: of the lab.
        links: with their current impairments.
    """
    if not any(link.key.is_access for link in links):
        return [*links]
    impaired: _Impaired = {}
    for link in links:
        impaired.setdefault(link.key.plain, {})[link.match] = link.impairments
    return [_probed(plan, link, impaired) for link in links]


def _probed(plan: Plan, link: Link, impaired: _Impaired) -> Link | Path:
    ways = [_way(plan, link, *ends, impaired) for ends in _ends(plan, link)]
    best = min(ways, key=_effort, default=None)
    if best is None:
        return _nowhere(plan, link)
    return link if not link.key.is_access and not best.beside and not best.skipped else best


def _ends(plan: Plan, link: Link) -> Iterator[tuple[str, str]]:
    """Yield the senders and receivers of packets that cross a link."""
    if not link.key.is_access:
        yield link.source, link.destination
        return
    for node in plan.nodes:
        if node.name not in link.key.nodes and any(at.network == link.network for at in node.interfaces):
            yield (
                node.name if link.source == ANY_NODE else link.source,
                node.name if link.destination == ANY_NODE else link.destination,
            )


def _way(plan: Plan, link: Link, source: str, destination: str, impaired: _Impaired) -> Path:
    hops, beside, skipped = [], [], None
    for key in crossed(source, destination, link.network):
        lines = impaired.get(key, {})
        if key == link.key.plain:
            hops.append(link.impairments)
        elif not lines.keys() <= {None}:
            skipped = BY_MATCH
        elif not (impairments := lines.get(None, CLEAR)).is_clear:
            hops.append(impairments)
            beside.append(key.name)
    together = hops[0] if len(hops) == 1 else combined(hops)
    whole = replace(link, source=source, destination=destination, impairments=together)
    addresses = plan.end(destination).on(link.network).addresses
    return replace(
        _nowhere(plan, link), link=whole, addresses=addresses, hops=tuple(hops), beside=tuple(beside), skipped=skipped
    )


def _nowhere(plan: Plan, link: Link) -> Path:
    mtu = plan.mtu(link.network)
    return Path(link=link, nodes=(), addresses=(), mtu=mtu, hops=(), judged=link.key, skipped=NO_NEIGHBOUR)


def _effort(way: Path) -> tuple[bool, float, int, int]:
    """Sort ways that can be probed first, then by how much arrives, the number of links, and the delay."""
    return way.skipped is not None, combined_loss(way.hops).rate, len(way.hops), way.link.impairments.delay_ns
