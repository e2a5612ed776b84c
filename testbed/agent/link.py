"""A link with impairments, as the agent keeps it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from testbed.agent.messages import LinkRequest, LinkStatistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.messages import ChosenEngine
    from testbed.engines.counters import Counters
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey


@dataclass(slots=True, kw_only=True)
class ImpairedLink:
    """A link with impairments.

    Attributes:
        addresses: of both nodes, by their names.
        engine: the name of the engine that carries it.
        why: why it is this one.
        device: index of the device that takes its packets; None while there is none.
        side: number of the side that the device is on.
        origin_ns: time zero of its traces, ns of CLOCK_MONOTONIC, which they keep when the link is made anew.
    """

    key: LinkKey
    addresses: Mapping[str, tuple[str, ...]]
    engine: str
    why: str
    impairments: Impairments
    seed: int
    device: int | None = None
    side: int = 0
    origin_ns: int = field(default_factory=time.monotonic_ns)

    @classmethod
    def requested(cls, request: LinkRequest, chosen: ChosenEngine) -> Self:
        """Return the link of a request, with the engine that was chosen for it; it has no device yet."""
        return cls(
            key=request.key,
            addresses=request.addresses,
            engine=chosen.engine,
            why=chosen.why,
            impairments=request.impairments,
            seed=request.seed,
        )

    def request(self, addresses: Mapping[str, tuple[str, ...]]) -> LinkRequest:
        """Return the request that would make the link as it is now, with these addresses of both nodes."""
        return LinkRequest(
            **self.key._asdict(),
            addresses=addresses,
            impairments=self.impairments,
            later=(),
            seed=self.seed,
            engine=self.engine,
            repeatable=False,
        )

    def statistics(self, counts: Counters) -> LinkStatistics:
        """Return what the agent reports of the link, with these counts."""
        return LinkStatistics(
            **self.key._asdict(), engine=self.engine, why=self.why, impairments=self.impairments, counts=counts
        )
