"""The links of a containerlab file: wires between nodes, and networks where a bridge has links."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from testbed.importing.source import LEFT_OUT
from testbed.topology.problems import nearest, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testbed.importing.draft import Draft
    from testbed.importing.source import Source
    from testbed.topology.document import Path

_LINKS: Path = ("topology", "links")
_KEYS = (
    "endpoint endpoints host-interface labels mode mtu parent-interface remote type udp-port dst-udp-port src-udp-port "
    "vars vni ipv4 ipv6"
).split()
_TO_THE_MACHINE = ("host", "mgmt-net", "macvlan", "dummy", "vxlan", "vxlan-stitch", "tc")
"""Ends of a link that are no node, in the short form; types of links with such an end, in the long one."""


def translate_links(
    source: Source, draft: Draft, names: Mapping[str, str], switches: Mapping[str, str], outside: Collection[str]
) -> dict[str, set[str]]:
    """Add the links to the draft, and return the interfaces that each node of the file has.

    Args:
        source: the file.
        draft: with its nodes and networks.
        names: of the nodes, by their names in the file.
        switches: names of the networks that bridges become.
        outside: nodes of the file that become neither.
    """
    interfaces: dict[str, set[str]] = {}
    wires: Counter[frozenset[str]] = Counter()
    for index in range(len(source.items(_LINKS))):
        path = (*_LINKS, index)
        source.only(path, _KEYS)
        kind = source.text((*path, "type")) or "veth"
        if kind != "veth":
            if kind not in _TO_THE_MACHINE:
                hint = nearest(kind, ("veth", *_TO_THE_MACHINE), "types")
                source.error((*path, "type"), "bad-value", f"is {quote(kind)}, which is no type of a link", hint)
            source.note(path, LEFT_OUT, f"a link of type {kind} leads out of the lab")
            continue
        ends = _ends(source, path, {*names, *switches, *outside})
        if len(ends) != 2:  # noqa: PLR2004  # of a link
            continue
        for key in ("labels", "vars"):
            if source.get((*path, key)) not in (None, {}):
                source.note((*path, key), LEFT_OUT)
        for node, interface in ends:
            interfaces.setdefault(node, set()).add(interface)
        _connect(source, draft, path, [node for node, _ in ends], names, switches, wires)
    return interfaces


def _ends(source: Source, path: Path, known: Collection[str]) -> list[tuple[str, str]]:
    """Return node and interface of both ends; nothing where the link leads out of the lab, or is not valid."""
    at = (*path, "endpoints")
    given = source.items(at)
    if len(given) != 2:  # noqa: PLR2004  # of a link
        source.error(at, "bad-value", f"has {len(given)} ends, must have two", 'write it like ["r1:eth1", "r2:eth1"]')
        return []
    ends: list[tuple[str, str]] = []
    for index, entry in enumerate(given):
        where = (*at, index)
        if isinstance(entry, dict):
            source.only(where, ("node", "interface", "mac", "ipv4", "ipv6", "vars"))
            node, interface = source.text((*where, "node")), source.text((*where, "interface"))
            for key in ("mac", "ipv4", "ipv6"):
                if source.get((*where, key)) is not None:
                    source.note((*where, key), LEFT_OUT, "addresses are the plan's", "subnet: of a wire chooses them")
        else:
            node, _, interface = source.text(where).partition(":")
        if node in _TO_THE_MACHINE and node not in known:
            source.note(path, LEFT_OUT, f"it leads out of the lab, to {node}")
            return []
        if node not in known:
            source.error(where, "unknown-node", f"names {quote(node)}, which is no node", nearest(node, known, "nodes"))
        elif not interface:
            source.error(where, "bad-value", "names no interface", f"write it like {node}:eth1")
        ends.append((node, interface))
    return ends


def _connect(
    source: Source,
    draft: Draft,
    path: Path,
    ends: list[str],
    names: Mapping[str, str],
    switches: Mapping[str, str],
    wires: Counter[frozenset[str]],
) -> None:
    """Add a wire, or put a node on the network that a bridge becomes."""
    if not all(end in names or end in switches for end in ends):
        source.note(path, LEFT_OUT, "it leads to what is no node here")
    elif all(end in switches for end in ends):
        source.note(path, LEFT_OUT, "two networks are not connected without a node that is on both")
    elif any(end in switches for end in ends):
        switch, node = ends if ends[0] in switches else ends[::-1]
        draft.add(names[node], "networks", switches[switch], path)
    elif ends[0] == ends[1]:
        source.note(path, LEFT_OUT, "a wire has two nodes")
    else:
        one, other = (names[end] for end in ends)
        wires[frozenset(ends)] += 1
        number, place = wires[frozenset(ends)], ("links", len(draft.links))
        wire: dict[str, object] = {"wire": [one, other]}
        if number > 1:
            wire["name"] = f"{one}-{other}-{number}"
        if mtu := source.text((*path, "mtu")):
            wire["mtu"] = int(mtu) if mtu.isdecimal() else mtu
            draft.origins[(*place, "mtu")] = (*path, "mtu")
        draft.links.append(wire)
        draft.origins[place] = path
