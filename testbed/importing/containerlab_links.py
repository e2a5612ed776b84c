"""The links of a containerlab file: wires, and attachments to the network that a bridge becomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.importing.source import LEFT_OUT
from testbed.present import as_name
from testbed.topology.problems import nearest, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.importing.draft import Draft
    from testbed.importing.source import Source
    from testbed.topology.document import Path

_NODES: Path = ("topology", "nodes")
_LINKS: Path = ("topology", "links")
_KEYS = """
endpoint endpoints host-interface labels mode mtu parent-interface remote type udp-port dst-udp-port src-udp-port vars
vni ipv4 ipv6
"""
_TO_THE_MACHINE = ("host", "mgmt-net", "macvlan", "dummy", "vxlan", "vxlan-stitch", "tc")
"""Ends of a link that are no node, in the short form; types of links with such an end, in the long one."""


def translate_links(
    source: Source, draft: Draft, names: Mapping[str, str], switches: Mapping[str, str]
) -> Mapping[str, set[str]]:
    """Add the links to the draft, and return the interfaces that each node of the file has.

    Args:
        source: the file.
        draft: with its nodes and networks.
        names: of the nodes, by their names in the file.
        switches: names of the networks that bridges become.
    """
    links = _Links(source=source, draft=draft, names=names, switches=switches)
    for index in range(len(source.items(_LINKS))):
        links.translate((*_LINKS, index))
    return links.interfaces


@dataclass(slots=True, kw_only=True)
class _Links:
    """The links while they are translated; see `translate_links`.

    Attributes:
        interfaces: those found so far, by node.
        number: of links between two nodes, found so far.
    """

    source: Source
    draft: Draft
    names: Mapping[str, str]
    switches: Mapping[str, str]
    interfaces: dict[str, set[str]] = field(default_factory=dict)
    number: Counter[frozenset[str]] = field(default_factory=Counter)

    def translate(self, path: Path) -> None:
        """Add a link."""
        source = self.source
        source.only(path, _KEYS.split())
        kind = source.text((*path, "type")) or "veth"
        if kind != "veth":
            if kind not in _TO_THE_MACHINE:
                hint = nearest(kind, ("veth", *_TO_THE_MACHINE), "types")
                source.error((*path, "type"), "bad-value", f"is {quote(kind)}, which is no type of a link", hint)
            source.note(path, LEFT_OUT, f"a link of type {kind} leads out of the lab")
            return
        for key in ("labels", "vars"):
            if source.get((*path, key)) not in (None, {}):
                source.note((*path, key), LEFT_OUT)
        if ends := self._ends((*path, "endpoints")):
            self._connect(path, *ends)

    def _ends(self, path: Path) -> tuple[str, str] | None:
        """Return the nodes at both ends; None where the link leads out of the lab, or is not valid."""
        given = self.source.items(path)
        if len(given) != 2:  # noqa: PLR2004  # of a link
            hint = 'write it like ["r1:eth1", "r2:eth1"]'
            self.source.error(path, "bad-value", f"has {len(given)} ends, must have two", hint)
            return None
        one, other = (self._end((*path, index)) for index in range(2))
        known = self.source.mapping(_NODES)
        if outside := [end for end in (one, other) if end in _TO_THE_MACHINE and end not in known]:
            self.source.note(path[:-1], LEFT_OUT, f"it leads out of the lab, to {outside[0]}")
            return None
        return (one, other) if one in known and other in known else None

    def _end(self, path: Path) -> str:
        """Return the node at an end, and note its interface."""
        source, known = self.source, self.source.mapping(_NODES)
        if isinstance(source.get(path), dict):
            source.only(path, ("node", "interface", "mac", "ipv4", "ipv6", "vars"))
            node, interface = source.text((*path, "node")), source.text((*path, "interface"))
            for key in ("mac", "ipv4", "ipv6"):
                if source.get((*path, key)) is not None:
                    source.note((*path, key), LEFT_OUT, "addresses are the plan's", "subnet: of a wire chooses them")
        else:
            node, _, interface = source.text(path).partition(":")
        if node not in known and node not in _TO_THE_MACHINE:
            hint = nearest(node, known, "nodes")
            source.error(path, "unknown-node", f"names {quote(node)}, which is no node", hint)
        elif not interface:
            source.error(path, "bad-value", "names no interface", f"write it like {node}:eth1")
        self.interfaces.setdefault(node, set()).add(interface)
        return node

    def _connect(self, path: Path, one: str, other: str) -> None:
        """Make a wire of a link, or put a node on the network that a bridge becomes."""
        at_switches = [end for end in (one, other) if end in self.switches]
        if not {one, other} <= {*self.names, *self.switches}:
            self.source.note(path, LEFT_OUT, "it leads to what is no node here")
        elif len(at_switches) > 1:
            self.source.note(path, LEFT_OUT, "two networks are not connected without a node that is on both")
        elif at_switches:
            node = other if one in self.switches else one
            self.draft.add(self.names[node], "networks", self.switches[at_switches[0]], path)
        elif one == other:
            self.source.note(path, LEFT_OUT, "both ends are at one node")
        else:
            self._wire(path, one, other)

    def _wire(self, path: Path, one: str, other: str) -> None:
        """Make a wire of a link between two nodes; it has a name where its ends alone don't give it one."""
        ends = [self.names[one], self.names[other]]
        self.number[frozenset(ends)] += 1
        number = self.number[frozenset(ends)]
        plain = "-".join(ends)
        name = as_name(plain + f"-{number}" * (number > 1))
        wire: dict[str, object] = {"wire": ends}
        if name != plain:
            wire["name"] = name
        place = ("links", len(self.draft.links))
        self.draft.origins[place] = path
        if mtu := self.source.text((*path, "mtu")):
            wire["mtu"] = int(mtu) if mtu.isdecimal() else mtu
            self.draft.origins[(*place, "mtu")] = (*path, "mtu")
        self.draft.links.append(wire)
