"""Names refer to nodes and networks that the file has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from testbed.topology.base import Fault
from testbed.topology.ends import DirectionEnds, PairEnds
from testbed.topology.problems import nearest, quote
from testbed.topology.rules.parts import Parts, text_of

if TYPE_CHECKING:
    from testbed.topology.document import Path


def attachments(parts: Parts) -> Iterator[Fault]:
    """Every node says which networks it is on, and they exist."""
    for name, node in parts.nodes.items():
        path: Path = ("nodes", name)
        if node is None:
            continue
        if node.networks is None and len(parts.networks) > 1:
            hint = nearest("", parts.networks, "networks")
            yield Fault(path, "missing-key", 'lacks "networks", and the file has several', hint)
        is_mapping = isinstance(node.networks, Mapping)
        for index, network in enumerate(node.networks or ()):
            at: Path = (*path, "networks", network if is_mapping else index)
            if network not in parts.networks:
                said = f"names {quote(network)}, which is not a network"
                yield Fault(at, "unknown-network", said, nearest(network, parts.networks, "networks"), is_mapping)
            elif not is_mapping and network in list(node.networks or ())[:index]:
                yield Fault(at, "duplicate-network", f"names {quote(network)} a second time")


def captures(parts: Parts) -> Iterator[Fault]:
    """Nodes where packets are captured exist."""
    path = ("capture", "nodes") if isinstance(parts.section("capture"), dict) else ("capture",)
    yield from _nodes(parts, *path)


def sockets(parts: Parts) -> Iterator[Fault]:
    """Nodes whose connections are sampled exist."""
    yield from _nodes(parts, "sockets")


def _nodes(parts: Parts, *path: str) -> Iterator[Fault]:
    for at, raw in parts.items(*path):
        if (name := text_of(raw)) is not None:
            yield from node(parts, at, name)


def node(parts: Parts, at: Path, name: str) -> Iterator[Fault]:
    """There is a node of that name, which `at` names."""
    if name not in parts.names:
        hint = nearest(name, parts.names, "nodes")
        yield Fault(at, "unknown-node", f"names {quote(name)}, which is not a node", hint)


def ends(parts: Parts, path: Path, named: Mapping[Path, str]) -> Iterator[Fault]:
    """Both ends exist and differ, or are a group of several; `named` is node by where it is named."""
    for at, name in named.items():
        yield from node(parts, at, name)
    name = next(iter(named.values()))
    if len(set(named.values())) == 1 and len(parts.members(name)) == 1:
        yield Fault(path, "same-node", f"leads from {quote(name)} to itself")


def link_ends(parts: Parts, path: Path, of: PairEnds | DirectionEnds) -> Iterator[Fault]:
    """As `ends`, of either form of a link."""
    if isinstance(of, PairEnds):
        yield from ends(parts, path, {(*path, "between", index): name for index, name in enumerate(of.between)})
    else:
        yield from ends(parts, path, {(*path, "from"): of.source, (*path, "to"): of.destination})


def shared_network(parts: Parts, path: Path, one: str, other: str, asked: str | None) -> str | Fault | None:
    """Return the network that two nodes share; None if that is unknown.

    Args:
        parts: of the file.
        path: of what names the nodes.
        one: a node.
        other: the other node.
        asked: the network that the file names.
    """
    networks, others = parts.on.get(one), parts.on.get(other)
    if networks is None or others is None or (one == other and one not in parts.groups):
        return None
    common = [name for name in networks if name in others]
    hint = nearest(asked or "", common, f"networks that {one} and {other} share")
    if asked is not None and asked not in common:
        return Fault((*path, "network"), "unknown-network", f"is {quote(asked)}, which is none of theirs", hint)
    if not common:
        said = f"connects {quote(one)} and {quote(other)}, which share no network"
        return Fault(path, "no-shared-network", said, "put both on one network")
    if asked is None and len(common) > 1:
        return Fault(path, "missing-key", 'lacks "network", and the nodes share several', hint)
    return asked or common[0]
