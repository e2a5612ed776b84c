"""The engines of links in a run: which one each had and why, its counters, what was changed since the lab came up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from testbed.agent.messages import LinkStatistics
from testbed.engines.counters import Counters
from testbed.impairments import CLEAR, Impairments
from testbed.matching import LinkKey, Match
from testbed.plan.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEngine:
    """The engine that applies a link's impairments, and the reason for the choice."""

    source: str
    destination: str
    network: str
    engine: str
    why: str
    match: Match | None = None

    @property
    def key(self) -> LinkKey:
        """What identifies the link, see `testbed.plan.Link`."""
        return LinkKey(self.source, self.destination, self.network, self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounters(LinkEngine):
    """The counters of a link's engine.

    Attributes:
        impairments: what it did to packets when the counters were read.
        counts: the engine's counters.
    """

    impairments: Impairments
    counts: Counters

    @classmethod
    def of(cls, link: LinkStatistics) -> Self:
        """Return the counters of a link, from the agent's statistics."""
        return cls(**{field.name: getattr(link, field.name) for field in fields(cls)})

    @property
    def chosen(self) -> LinkEngine:
        """The link's engine without its counters."""
        return LinkEngine(**{field.name: getattr(self, field.name) for field in fields(LinkEngine)})


def changed_links(plan: Plan, now: Mapping[LinkKey, Impairments]) -> list[str]:
    """The links that were changed since the lab came up, with what they do: `a -> b loss 10 % (file: loss 2 %)`.

    Args:
        plan: of the lab.
        now: by link, of each impaired link, what it does now.
    """
    planned = {link.key: link.impairments for link in plan.links}
    return [
        f"{key.name} {impairments.describe()} (file: {planned.get(key, CLEAR).describe()})"
        for key, impairments in now.items()
        if impairments != planned.get(key, CLEAR)
    ]
