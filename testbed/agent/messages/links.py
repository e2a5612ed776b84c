"""Links: their impairments, their engines, and the counts of their packets."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.calls import Call, Payload
from testbed.engines.counters import Counters
from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match


class LinkEnds(Payload, frozen=True, kw_only=True):
    """What names a link: its ends, the network, and the packets that it is for."""

    source: str
    destination: str
    network: str
    match: Match | None = None

    @property
    def key(self) -> LinkKey:
        """What tells links apart, see `testbed.plan.Link`."""
        return LinkKey(self.source, self.destination, self.network, self.match)

    def __str__(self) -> str:
        return str(self.key)


class LinkRequest(LinkEnds, frozen=True, kw_only=True):
    """A link that is to have impairments.

    Attributes:
        addresses: of both nodes, by their names.
        impairments: what it does to packets from now on.
        later: those that a run gives it.
        seed: of all that is random.
        engine: `auto`, or an engine's name.
        repeatable: the seed was asked for.
    """

    addresses: Mapping[str, tuple[str, ...]]
    impairments: Impairments
    later: tuple[Impairments, ...]
    seed: int
    engine: str
    repeatable: bool

    __str__ = LinkEnds.__str__


class ChosenEngine(Payload, frozen=True, kw_only=True):
    """The engine of a link, and why that one."""

    engine: str
    why: str


class Impair(Call[tuple[ChosenEngine, ...]], frozen=True, kw_only=True):
    """Give links their impairments, in place of those that they have; the result is in the same order."""

    links: tuple[LinkRequest, ...]


class RestartAllLinks(Call[None], frozen=True, kw_only=True):
    """Restart all links, from the beginning of their seeds.

    Attributes:
        origin_ns: time zero of their traces, ns of CLOCK_MONOTONIC, which may be in the future; None is now.
    """

    origin_ns: int | None = None


class LinkStatistics(LinkEnds, frozen=True, kw_only=True):
    """The counts of a link's packets, by its engine, and its impairments at that moment."""

    engine: str
    why: str
    impairments: Impairments
    counts: Counters

    __str__ = LinkEnds.__str__


class Statistics(Call[tuple[LinkStatistics, ...]], frozen=True, kw_only=True):
    """Ask what became of the packets of all links."""


class SampleLinks(Call[None], frozen=True, kw_only=True):
    """Take samples of the counters of all links, until the client sends anything, which ends the call.

    Its events are `LinkSamples`.

    Attributes:
        interval_ns: the least time between two samples of a link.
    """

    interval_ns: int


class LinkSamples(Payload, frozen=True, kw_only=True):
    """Samples of the counters of a link.

    Attributes:
        link: its name.
        columns: the values of each counter that its engine has, and when that was, `at_ns` of CLOCK_MONOTONIC.
    """

    link: str
    columns: Mapping[str, tuple[int, ...]]


class NewImpairments(LinkEnds, frozen=True, kw_only=True):
    """Other impairments for a link that has some."""

    impairments: Impairments

    __str__ = LinkEnds.__str__
