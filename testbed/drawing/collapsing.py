"""Similar nodes share a box, so that a picture of many nodes can be read.

Members of a group are similar, and so are nodes whose names differ only in the number at the end, if they have the same
place in the network: nobody could tell them apart by what they are connected to. That is what the colour refinement of
graphs finds (Weisfeiler and Leman): nodes begin with a colour for what they are, and get another, again and again, that
stands for it together with the colours of those at their other ends, until no two nodes of one colour differ in that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.matching import ANY_NODE

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from testbed.matching import LinkKey
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node

FEW = 3
"""Up to this number, similar nodes that are in no group are drawn one by one."""

MOST = 40
"""Boxes in a picture; beyond, nodes are similar that differ only in the impairments of their links."""


def collapsed(plan: Plan, described: Mapping[LinkKey, str], wires: set[str]) -> list[list[Node]]:
    """Return the nodes of each box, in the order of their first ones.

    Args:
        plan: its nodes and links.
        described: the impairments of each link, in words.
        wires: names of the networks that are wires.
    """
    grouped = {member: group.name for group in reversed(plan.groups) for member in group.nodes}
    kinds = {node.name: _kind(node, grouped.get(node.name), wires) for node in plan.ends}
    neighbours: dict[str, list[tuple[Hashable, str]]] = {node.name: [] for node in plan.ends}
    ends: dict[str, list[str]] = {}
    for node in plan.ends:
        for interface in node.interfaces:
            if interface.network in wires:
                ends.setdefault(interface.network, []).append(node.name)
    for one, *others in ends.values():
        for other in others:
            neighbours[one].append(("wire", other))
            neighbours[other].append(("wire", one))
    for link in plan.links:
        on = "" if link.network in wires else link.network
        does = str(link.match or ""), described[link.key]
        first, last = link.key.nodes[0], link.key.nodes[-1]  # the same node of an uplink or downlink
        if link.source != ANY_NODE:
            neighbours[first].append((("to", on, *does), last))
        if link.destination != ANY_NODE:
            neighbours[last].append((("from", on, *does), first))
    boxes = _by_colour(plan.ends, _refined(kinds, neighbours), grouped)
    return boxes if len(boxes) <= MOST else _by_colour(plan.ends, kinds, grouped)


def _kind(node: Node, group: str | None, wires: set[str]) -> Hashable:
    """What a node is, whatever it is connected to; those with other names, or that ran before the lab, differ."""
    networks = tuple(interface.network for interface in node.interfaces if interface.network not in wires)
    stem = node.name if node.container or node.namespace else node.name.rstrip("0123456789")
    return group or stem, group is None, networks, node.router, node.service.ports


def _refined(
    kinds: Mapping[str, Hashable], neighbours: Mapping[str, Sequence[tuple[Hashable, str]]]
) -> Mapping[str, Hashable]:
    """Return a colour for each node: the same for nodes that have the same kind and equal connections."""
    colours = _numbered(kinds)
    while True:
        finer = _numbered(
            {
                name: (colour, tuple(sorted((repr(how), colours[other]) for how, other in neighbours[name])))
                for name, colour in colours.items()
            }
        )
        if len({*finer.values()}) == len({*colours.values()}):
            return colours
        colours = finer


def _numbered(colours: Mapping[str, Hashable]) -> dict[str, int]:
    numbers: dict[Hashable, int] = {}
    return {name: numbers.setdefault(colour, len(numbers)) for name, colour in colours.items()}


def _by_colour(nodes: Sequence[Node], colours: Mapping[str, Hashable], grouped: Mapping[str, str]) -> list[list[Node]]:
    by_colour: dict[Hashable, list[Node]] = {}
    for node in nodes:
        by_colour.setdefault(colours[node.name], []).append(node)
    order = {node.name: number for number, node in enumerate(nodes)}
    boxes = [
        part
        for alike in by_colour.values()
        for part in ([alike] if len(alike) > FEW or alike[0].name in grouped else [[node] for node in alike])
    ]
    return sorted(boxes, key=lambda box: order[box[0].name])
