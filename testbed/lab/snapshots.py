"""The state of a lab at one moment, for views of it: nodes, and links with their rates since the moment before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.messages import LabState, LinkStatistics
    from testbed.engines.counters import Counters
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey

_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node.

    Attributes:
        name: of the node.
        state: `running`, `paused`, `stopped`, `exited STATUS` or `gone`, see `testbed ps`.
        by_fault: whether a fault keeps it from running, so that it is so on purpose.
    """

    name: str
    state: str
    by_fault: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A link that has an engine.

    Attributes:
        key: what names it.
        impairments: requested now.
        engine: its name.
        counts: since the link began.
        drops: packets that it has dropped, for whatever reason, since it began.
        in_bps, out_bps: what has reached and left it since the snapshot before, bits/s with MAC headers; None without
            such a snapshot, or if the link has begun anew meanwhile.
        dropped_per_s: packets that it has dropped, per second; None as above.
    """

    key: LinkKey
    impairments: Impairments
    engine: str
    counts: Counters
    drops: int
    in_bps: float | None
    out_bps: float | None
    dropped_per_s: float | None

    @property
    def name(self) -> str:
        """The link's name: `client -> server (udp port 53)`."""
        return self.key.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A lab at one moment.

    Attributes:
        lab: its name.
        at_ns: the moment, by the monotonic clock of the agent's machine.
        nodes: in the order of the file.
        links: in the order in which they select packets.
        problems: what keeps the lab from doing what the file says; sentences.
    """

    lab: str
    at_ns: int
    nodes: tuple[NodeState, ...]
    links: tuple[LinkState, ...]
    problems: tuple[str, ...]


def snapshot(state: LabState, before: Snapshot | None) -> Snapshot:
    """Return what the agent reports as a snapshot, with rates since the one before."""
    status = state.status
    seconds = (state.at_ns - before.at_ns) / 1e9 if before else 0.0
    known = {link.key: link for link in before.links} if before else {}
    dead = (f"{link}: {why}" for link, why in status.dead_links.items())
    return Snapshot(
        lab=status.lab,
        at_ns=state.at_ns,
        nodes=tuple(
            NodeState(name=name, state=how, by_fault=name in status.held) for name, how in status.nodes.items()
        ),
        links=tuple(_link(link, known, seconds) for link in state.links),
        problems=(*state.attachments.problems, *dead),
    )


def _link(link: LinkStatistics, known: Mapping[LinkKey, LinkState], seconds: float) -> LinkState:
    before = known.get(link.key)
    drops = sum(link.counts.dropped.values())

    def per_second(now: int | None, then: int | None) -> float | None:
        return (now - then) / seconds if now is not None and then is not None and now >= then and seconds > 0 else None

    bytes_in = per_second(link.counts.bytes_in, before.counts.bytes_in if before else None)
    bytes_out = per_second(link.counts.bytes_out, before.counts.bytes_out if before else None)
    return LinkState(
        key=link.key,
        impairments=link.impairments,
        engine=link.engine,
        counts=link.counts,
        drops=drops,
        in_bps=None if bytes_in is None else _BITS * bytes_in,
        out_bps=None if bytes_out is None else _BITS * bytes_out,
        dropped_per_s=per_second(drops, before.drops if before else None),
    )
