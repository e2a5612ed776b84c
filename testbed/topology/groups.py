"""Groups of nodes: `client: {count: 3}` makes the nodes `client-1`, `client-2` and `client-3`.

The name of a group stands for all of its members wherever a file names a node. The file's models and the rules know
groups; what resolution asks of a `Topology` (`nodes`, `links_between`, `instances`) has members only, so that all that
is behind it sees plain nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, TypeVar

from testbed.matching import LinkKey
from testbed.topology.ends import DirectionEnds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from testbed.matching import Match
    from testbed.topology.workloads import Work, WorkloadKeys

Value = TypeVar("Value")

Groups = Mapping[str, tuple[str, ...]]
"""By the name of a group the names of its members."""


def member_names(group: str, count: int) -> tuple[str, ...]:
    """Return the names of the `count` members of a group."""
    return tuple(f"{group}-{number}" for number in range(1, count + 1))


def links_between(
    senders: Iterable[str], receivers: Collection[str], network: str, match: Match | None = None
) -> Iterator[LinkKey]:
    """Yield the link from each of some nodes to each of others on a network, but from none to itself."""
    for sender in senders:
        yield from (LinkKey(sender, receiver, network, match) for receiver in receivers if receiver != sender)


Precedence = tuple[int, bool]


def precedence(entry: object, source: str, destination: str, groups: Collection[str]) -> Precedence:
    """Return the rank of an entry of `links` among those about one link; the highest counts.

    The name of a node counts more than that of a group, and after that `from` and `to` more than the other forms.
    """
    return sum(name not in groups for name in (source, destination)), isinstance(entry, DirectionEnds)


def on_all(members: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
    """Return the networks that all members of a group are on, with what the first one has there."""
    first, *others = members
    return {network: one for network, one in first.items() if all(network in other for other in others)}


def instances_of(workload: WorkloadKeys | Work, groups: Groups) -> Iterator[WorkloadKeys | Work]:
    """Yield what an entry under `workloads` runs: itself, or one workload for each member of the groups at its ends.

    See `instance_ends`.
    """
    written = (workload.source,) if workload.goes_nowhere else (workload.source, workload.destination)
    fields = ("node",) if workload.goes_nowhere else ("source", "destination")
    if not {*written} & groups.keys():
        yield workload
        return
    for name, ends in instance_ends(workload.name, written, groups):
        yield workload.model_copy(update={"name": name, **dict(zip(fields, ends, strict=True))})


def instance_ends(name: str, written: Sequence[str], groups: Groups) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name and the nodes of each workload that a workload of groups stands for.

    Between two groups that is one from each member of one to each member of the other, between a group and itself one
    from each member to each other. Names end with the names of the members: `download-client-2`.

    Args:
        name: of the workload.
        written: the nodes and groups at its ends: one, or source and destination.
        groups: of the file.
    """
    for nodes in product(*(groups.get(end, (end,)) for end in written)):
        if len({*nodes}) == len(nodes):
            members = [node for node, end in zip(nodes, written, strict=True) if end in groups]
            yield "-".join((name, *members)), nodes
