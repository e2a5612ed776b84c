"""Names refer to nodes and networks that the file has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from testbed import families
from testbed.matching import ANY_NODE
from testbed.names import BUILT_IN, HOST
from testbed.topology.base import Fault
from testbed.topology.ends import DownlinkEnds, LinkEnds, PairEnds, UplinkEnds, WireEnds
from testbed.topology.problems import nearest, quote
from testbed.topology.rules.parts import Parts, text_of

if TYPE_CHECKING:
    from testbed.topology.document import Path
    from testbed.topology.workloads import WorkloadEnds


def attachments(parts: Parts) -> Iterator[Fault]:
    """Every node says which networks it is on, and they exist."""
    for name, node in parts.nodes.items():
        path: Path = ("nodes", name)
        if node is None:
            continue
        if node.networks is None and len(parts.networks) > 1 and name not in parts.wired:
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


def built_in(parts: Parts) -> Iterator[Fault]:
    """No node of the file has the name of one that is built in."""
    for name in BUILT_IN:
        if name in parts.nodes:
            meaning = "this machine" if name == HOST else "everything beyond this machine"
            said = f"is the name of a built-in node, which is {meaning} and needs no entry"
            yield Fault(("nodes", name), "reserved-name", said, "give the node another name", at_key=True)


def node(parts: Parts, at: Path, name: str) -> Iterator[Fault]:
    """There is a node of that name, which `at` names."""
    if name in BUILT_IN:
        said = f"names {quote(name)}, which is a built-in node: it can only be an end of a link"
        hint = "run the program on this machine by itself, towards the node's address or a published port"
        yield Fault(at, "built-in-node", said, hint)
    elif name not in parts.names:
        hint = nearest(name, parts.names, "nodes")
        yield Fault(at, "unknown-node", f"names {quote(name)}, which is not a node", hint)


def ends(parts: Parts, path: Path, named: Mapping[Path, str]) -> Iterator[Fault]:
    """Both ends exist, and lead from a node to another one; `named` is node or group by where it is named."""
    for at, name in named.items():
        yield from node(parts, at, name)
    yield from _differ(parts, path, named)


def _differ(parts: Parts, path: Path, named: Mapping[Path, str]) -> Iterator[Fault]:
    one, other = (parts.members(name) for name in named.values())
    if one == other and len(one) == 1:
        yield Fault(path, "same-node", f"leads from {quote(one[0])} to itself")


def link_ends(parts: Parts, path: Path, of: LinkEnds | WireEnds) -> Iterator[Fault]:
    """As `ends`, of any form of a link. One of the ends may be built in, but of a wire, an uplink or a downlink."""
    if isinstance(of, WireEnds):
        yield from ends(parts, path, {(*path, "wire", index): name for index, name in enumerate(of.wire)})
        return
    if isinstance(of, UplinkEnds):
        yield from node(parts, (*path, "from"), of.source)
        return
    if isinstance(of, DownlinkEnds):
        yield from node(parts, (*path, "to"), of.destination)
        return
    if isinstance(of, PairEnds):
        named: dict[Path, str] = {(*path, "between", index): name for index, name in enumerate(of.between)}
    else:
        named = {(*path, "from"): of.source, (*path, "to"): of.destination}
    for at, name in named.items():
        if name not in BUILT_IN:
            yield from node(parts, at, name)
    if set(named.values()) == set(BUILT_IN):
        hint = "name a node of the file as one end"
        yield Fault(path, "no-node", "connects host and internet, and neither is a node of the file", hint)
    else:
        yield from _differ(parts, path, named)


def shared_network(parts: Parts, path: Path, one: str, other: str, asked: str | None) -> str | Fault | None:
    """Return the network that two neighbours share; None if that is unknown.

    Args:
        parts: of the file.
        path: of what names the nodes.
        one: a node.
        other: the other node; with `ANY_NODE` for one of them, it is the network of the other.
        asked: the network that the file names.
    """
    alone = ANY_NODE in (one, other)
    one, other = (other if one == ANY_NODE else one), (one if other == ANY_NODE else other)
    on = {**parts.on, **parts.outside}
    networks, others = on.get(one), on.get(other)
    is_no_link = (one == other and not alone and one not in parts.groups) or {one, other} == {*BUILT_IN}
    if networks is None or others is None or is_no_link:
        return None
    common = [name for name in networks if name in others]
    if one in BUILT_IN or other in BUILT_IN:
        return _network_outwards(parts, path, one if one in BUILT_IN else other, common, asked)
    if not common:
        return _no_shared_network(parts, path, one, other)
    hint = nearest(asked or "", common, f"networks of {one}" if alone else f"networks that {one} and {other} share")
    if asked is not None and asked not in common:
        return Fault((*path, "network"), "unknown-network", f"is {quote(asked)}, which is none of theirs", hint)
    if asked is None and len(common) > 1:
        several = f"{one} is on several" if alone else "the nodes share several"
        return Fault(path, "missing-key", f'lacks "network", and {several}', hint)
    return asked or common[0]


def _no_shared_network(parts: Parts, path: Path, one: str, other: str) -> Fault:
    way = parts.path(parts.members(one)[0], parts.members(other)[-1])
    said = f"connects {quote(one)} and {quote(other)}, which share no network"
    if way is None:
        return Fault(path, "no-shared-network", said, "put both on one network")
    over = ", ".join(hop[1] for hop in way[:-1])
    hint = "impairments belong to a link between neighbours: name two nodes next to each other on that path"
    return Fault(path, "no-shared-network", f"{said}: they are {len(way)} hops apart, over {over}", hint)


def _network_outwards(parts: Parts, path: Path, end: str, common: Collection[str], asked: str | None) -> str | Fault:
    """As `shared_network`, with a built-in node as an end: a network of the other node that leads out."""
    found = [name for name in common if not (network := parts.networks.get(name)) or not network.internal]
    if asked is not None and asked not in common:
        hint = nearest(asked, found, "networks that lead out")
        return Fault((*path, "network"), "unknown-network", f"is {quote(asked)}, which the node is not on", hint)
    if asked in found or (asked is None and len(found) == 1):
        return asked or found[0]
    if found and asked is None:
        hint = nearest("", found, "networks that lead out")
        return Fault(path, "missing-key", 'lacks "network", and several of the node\'s lead out', hint)
    inner = asked or next(iter(name for name in common if name in parts.networks), None)
    if inner is None:
        hint = "put it on a network with internal: false"
        return Fault(path, "no-shared-network", f"leads to or from {quote(end)}, and the node is on wires only", hint)
    said = f"leads to or from {quote(end)} over network {quote(inner)}, which is internal: nothing passes there"
    hint = f"give the network internal: false (networks: {{{inner}: {{internal: false}}}})"
    return Fault(path, "internal-network", said, hint)


def reachable(parts: Parts, path: Path, ends: WorkloadEnds) -> Iterator[Fault]:
    """Packets of a workload get from one node to another, to the network and over the family that the file names."""
    one, other, asked = ends.source, ends.destination, ends.network
    networks, others = parts.on.get(one), parts.on.get(other)
    if networks is None or others is None or (one == other and one not in parts.groups):
        return
    if any(name in others for name in networks):
        fault = shared_network(parts, path, one, other, asked)
        if isinstance(fault, Fault):
            yield fault
        else:
            yield from _over_family(parts, path, ends)
        return
    if asked is not None and asked not in others:
        said = f"is {quote(asked)}, which {other} is not on"
        yield Fault((*path, "network"), "unknown-network", said, nearest(asked, others, f"networks of {other}"))
        return
    pairs = _pairs(parts, ends)
    if any(not any(graph.connects(*pair, asked) for graph in parts.graphs.values()) for pair in pairs):
        said = f"connects {quote(one)} and {quote(other)}, and there is no route from one to the other"
        if behind := next(filter(None, (parts.behind_nat(*pair) for pair in pairs)), None):
            said = (
                f"goes to {quote(other)}, which is inside of the NAT of {quote(behind)}: it is not reached from outside"
            )
            hint = f"let it go the other way, from {other} to {one}, or to {behind}"
            yield Fault(path, "behind-nat", said, hint)
            return
        routers = [name for name, node in parts.each.items() if node.router]
        between = [
            name for name in parts.each if _touches(parts.on[name], networks) and _touches(parts.on[name], others)
        ]
        if candidates := [name for name in between if name not in (one, other, *routers)]:
            hint = f"{candidates[0]} is on a network of each: let it forward, router: true"
        else:
            hint = "put both on one network, or a node with router: true between them"
        if len({parts.families_of(network) for network in parts.networks}) > 1:
            hint += "; all networks on the way need the same family (ip: both)"
        yield Fault(path, "no-route", said, hint)
        return
    yield from _over_family(parts, path, ends)


def _pairs(parts: Parts, ends: WorkloadEnds) -> list[tuple[str, str]]:
    """The nodes at both ends of each workload that members of groups run."""
    sources, destinations = parts.members(ends.source), parts.members(ends.destination)
    return [(node, peer) for node in sources for peer in destinations if node != peer]


def _over_family(parts: Parts, path: Path, ends: WorkloadEnds) -> Iterator[Fault]:
    """The family that the file names leads from one end to the other."""
    if ends.family is None:
        return
    graph = parts.graphs[ends.family]
    pair = next((pair for pair in _pairs(parts, ends) if not graph.connects(*pair, ends.network)), None)
    if pair is None:
        return
    family, at = families.label(ends.family), (*path, "family")
    for end in pair:
        if not any(ends.family in parts.families_of(network) for network in parts.on[end]):
            said = f"is {ends.family}, and {quote(end)} has no {family} address"
            yield Fault(at, "no-family", said, f"give its network {family}: ip: both, or ip: {ends.family}")
            return
    said = f"is {ends.family}, and no {family} route leads from {quote(pair[0])} to {quote(pair[1])}"
    yield Fault(at, "no-family", said, f"give each network between them {family}: ip: both")


def _touches(networks: Mapping[str, object], others: Mapping[str, object]) -> bool:
    return any(name in others for name in networks)
