"""What is drawn of a plan, whatever the format: boxes for nodes, networks, and the connections between boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.drawing.collapsing import collapsed
from testbed.impairments.disciplines import DROP_TAIL
from testbed.matching import ANY_NODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network, Node


_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node, or several similar nodes.

    Attributes:
        name: of the node, or of the group; of others together, of the first and the last.
        count: the number of nodes.
        router: whether they forward packets.
        networks: names of the networks that they are on, without wires.
        addresses: on these networks; empty ones of several nodes.
        notes: what else is to be said of them, such as published ports; may be none.
    """

    name: str
    count: int
    router: bool
    networks: tuple[str, ...]
    addresses: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def times(self) -> str:
        """How many nodes it stands for, such as `x30` with a proper sign; empty for one."""
        return f"{_TIMES}{self.count}" if self.count > 1 else ""

    @property
    def title(self) -> str:
        """Name and number."""
        return f"{self.name} {self.times}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A network, wires aside.

    Attributes:
        about: its subnet, and what is unusual about it.
    """

    name: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxConnection:
    """What is between two boxes: a wire, links with impairments on a network, or links with impairments on a wire.

    Attributes:
        first, second: indices of boxes; `first` is less, or the same for links among the nodes of one box.
        network: on which it is; empty where the plan has only one.
        wire: whether it is a cable of their own.
        packets: which packets the links are for; empty for all that no other links are for.
        there, back: the impairments of the links from the first to the second, and back; None where there are none.
    """

    first: int
    second: int
    network: str
    wire: bool
    packets: str
    there: str | None
    back: str | None

    def with_packets(self, text: str) -> str:
        """Return the impairments `text`, behind the packets that they are for."""
        return f"{self.packets}: {text}" if self.packets else text

    def labels(self, there: str, back: str) -> tuple[str, ...]:
        """Return what to write at the connection: nothing, one text, or one for each direction.

        Args:
            there: what stands for the direction from the first box to the second where they differ, such as an arrow.
            back: what stands for the other one.
        """
        if self.there is None or self.back is None:
            return tuple(self.with_packets(text) for text in (self.there, self.back) if text is not None)
        if self.there == self.back:
            how = "among themselves" if self.first == self.second else "each way"
            return (f"{self.with_packets(self.there)}, {how}",)
        return (f"{there} {self.with_packets(self.there)}", f"{back} {self.with_packets(self.back)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that is drawn.

    Attributes:
        name: of the topology.
        description: in one line; may be empty.
        connections: from box to box, in the order of their boxes.
    """

    name: str
    description: str
    segments: tuple[Segment, ...]
    boxes: tuple[Box, ...]
    connections: tuple[BoxConnection, ...]

    @property
    def title(self) -> str:
        """The title of the picture."""
        return f"Topology of {self.name}"


def picture(plan: Plan) -> Picture:
    """Return the picture of a plan, in which similar nodes share a box."""
    wires = {network.name for network in plan.networks if network.wire}
    described = {link.key: in_short(link.impairments) for link in plan.links}
    alike = collapsed(plan, described, wires)
    names = {frozenset(group.nodes): group.name for group in plan.groups}
    access: dict[str, list[str]] = {}
    for link in plan.links:
        if link.key.is_access:
            (node,) = link.key.nodes
            what = f"{'uplink' if link.destination == ANY_NODE else 'downlink'}{f' ({link.match})' * bool(link.match)}"
            on = f" on {link.network}" if len(plan.node(node).interfaces) > 1 else ""
            access.setdefault(node, []).append(f"{what}{on}: {described[link.key]}")
    boxes = tuple(_box(nodes, names, wires, access.get(nodes[0].name, ())) for nodes in alike)
    places = {node.name: index for index, nodes in enumerate(alike) for node in nodes}
    segments = tuple(
        Segment(name=network.name, about=_about(network)) for network in plan.networks if network.name not in wires
    )
    return Picture(
        name=plan.topology,
        description=_printable(plan.description),
        segments=segments,
        boxes=boxes,
        connections=tuple(_connections(plan, places, described, wires, several=len(segments) > 1)),
    )


def in_short(impairments: Impairments) -> str:
    """Return the main impairments in few words: `40 ms, 2 % loss, 10 mbit/s`; `nothing` if there are none."""
    parts = [part for part in impairments.descriptions() if not part.startswith(("queue ", "overhead "))]
    if impairments.bottleneck and impairments.bottleneck.discipline != DROP_TAIL:
        parts.append(str(impairments.bottleneck.discipline))
    return ", ".join(map(_without_key, parts)) or "nothing"


def _without_key(part: str) -> str:
    """Return a description without its key where the unit says as much: `40 ms`, `2 % loss`, `10 mbit/s`."""
    key, _, value = part.partition(" ")
    if key == "loss" and value.endswith(" %"):
        return f"{value} loss"
    return value if key in ("delay", "rate") else part


_NAMED = 2
"""Nodes of a box that are named, not only the first and the last of them."""


def _about(network: Network) -> str:
    parts = [*map(str, network.subnets.values())]
    if network.mtu != 1500:  # noqa: PLR2004  # Ethernet's
        parts.append(f"MTU {network.mtu}")
    if network.present:
        parts.append(f"Docker network {network.present}")
    elif not network.internal:
        parts.append("leads outside")
    return "   ".join(parts)


def _box(nodes: Sequence[Node], groups: Mapping[frozenset[str], str], wires: set[str], access: Iterable[str]) -> Box:
    first = nodes[0]
    name = (", " if len(nodes) <= _NAMED else " … ").join(dict.fromkeys((first.name, nodes[-1].name)))
    on = [interface for interface in first.interfaces if interface.network not in wires]
    notes = [*access, *(f"publishes {port}" for port in first.service.ports)]
    if len(nodes) == 1:
        notes += _translating(first)
        notes += [f"container {first.container}"] * bool(first.container)
        notes += [f"namespace {first.namespace}"] * bool(first.namespace)
    return Box(
        name=groups.get(frozenset(node.name for node in nodes), name),
        count=len(nodes),
        router=first.router is not None,
        networks=tuple(interface.network for interface in on),
        addresses=tuple(interface.addresses[0] if len(nodes) == 1 else "" for interface in on),
        notes=tuple(notes),
    )


def _translating(node: Node) -> Iterator[str]:
    """Yield what a router does beside forwarding: `NAT (symmetric) for home`."""
    if node.router and node.router.nat:
        yield f"NAT ({node.router.nat.kind}) for {', '.join(node.router.nat.inside)}"
    if node.router and node.router.firewall:
        yield f"firewall for {', '.join(node.router.firewall.inside)}"


def _connections(
    plan: Plan,
    places: Mapping[str, int],
    described: Mapping[LinkKey, str],
    wires: set[str],
    *,
    several: bool,
) -> Iterable[BoxConnection]:
    """Yield the connections between boxes. Of several links from box to box that differ, their number is said."""
    between: dict[tuple[int, int, str | None, str], tuple[dict[str, None], dict[str, None]]] = {}
    on_wire: dict[str, list[int]] = {}
    for node in plan.ends:
        for interface in node.interfaces:
            if interface.network in wires:
                on_wire.setdefault(interface.network, []).append(places[node.name])
    for ends in on_wire.values():
        between.setdefault((min(ends), max(ends), None, ""), ({}, {}))
    for link in plan.links:
        if link.key.is_access:
            continue
        source, destination = places[link.source], places[link.destination]
        network = None if link.network in wires else link.network
        packets = str(link.match or "")
        key = min(source, destination), max(source, destination), network, packets
        directions = between.setdefault(key, ({}, {}))
        for direction in (False, True) if source == destination else (source > destination,):
            directions[direction][described[link.key]] = None
    for (first, second, network, packets), (there, back) in sorted(between.items(), key=lambda item: item[0][:2]):
        yield BoxConnection(
            first=first,
            second=second,
            network=network if several and network else "",
            wire=network is None,
            packets=packets,
            there=_together(there),
            back=_together(back),
        )


def _together(descriptions: Iterable[str]) -> str | None:
    texts = list(descriptions)
    if len(texts) > 1:
        return f"{len(texts)} different ones"
    return texts[0] if texts else None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
