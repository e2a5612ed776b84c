"""Resolution of a file's links: one link of the plan for each direction that is ever impaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.impairments import CLEAR
from testbed.plan.model import Link
from testbed.seeds import of_link as seed_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.plan.events import Event
    from testbed.topology.models import Topology


def resolve_links(
    topology: Topology,
    impairments_of: Mapping[LinkKey, Impairments],
    timeline: Iterable[Event],
    *,
    seed: int,
    engine: str | None,
) -> tuple[Link, ...]:
    """Return the links of `topology`, in the order of the file.

    A link with a match is there also if it has no impairments: its packets pass without those of the plain link.

    Args:
        topology: as it was read.
        impairments_of: the links, see `link_impairments`.
        timeline: resolved.
        seed: of the plan.
        engine: instead of the file's.
    """
    asked = topology.applied()
    changed = dict.fromkeys(change.key for event in timeline for change in event.changes)
    links = []
    for key in dict.fromkeys((*asked, *changed)):
        link, impairments = asked.get(key), impairments_of.get(key, CLEAR)
        if not impairments.is_clear or key in changed or key.match:
            links.append(
                Link(
                    **key._asdict(),
                    impairments=impairments,
                    seed=seed_of(seed, key),
                    engine=engine or (link and link.entry.engine) or topology.engine,
                    profile=link.entry.profile if link else None,
                )
            )
    return tuple(links)
