"""The parts of a file that rules look at: raw data with the models made of it, where it is valid."""

from __future__ import annotations

from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from testbed.families import IPV4
from testbed.names import BUILT_IN
from testbed.topology.address_values import Families
from testbed.topology.base import DEFERRED
from testbed.topology.ends import WireEnds
from testbed.topology.graph import Graph, graphs_of
from testbed.topology.groups import member_names, on_all
from testbed.topology.networks import NetworkKeys
from testbed.topology.nodes import NodeKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.families import Address
    from testbed.topology.document import Document, Path
    from testbed.topology.graph import Hop
    from testbed.topology.link_entries import LinkEntry

_NODE = TypeAdapter(NodeKeys)
_WIRE = TypeAdapter(WireEnds)
_FAMILIES: TypeAdapter[tuple[int, ...]] = TypeAdapter(Families, config=DEFERRED)

Part = TypeVar("Part")


class Parts:
    """The parts of a document.

    Args:
        document: the file.
        models: of the valid parts, by the identity of their raw data; see `testbed.topology.base.Recorded`.
    """

    def __init__(self, document: Document, models: Mapping[int, object]) -> None:
        self.document = document
        self._models = models
        self._data = document.data if isinstance(document.data, dict) else {}

    @cached_property
    def networks(self) -> Mapping[str, NetworkKeys | None]:
        """The networks by name; None stands for one that is not valid."""
        found = self._data.get("networks", {"lan": None})
        entries = found.items() if isinstance(found, dict) else ()
        return {name: NetworkKeys() if raw is None else self.model(raw, NetworkKeys) for name, raw in entries}

    @cached_property
    def nodes(self) -> Mapping[str, NodeKeys | None]:
        """The nodes by name, with what can be read of their networks; None stands for one of which nothing can."""
        found = self._data.get("nodes")
        entries = found.items() if isinstance(found, dict) else ()
        return {name: NodeKeys() if raw is None else self._node(raw) for name, raw in entries}

    def _node(self, raw: object) -> NodeKeys | None:
        wanted = (("networks", "router", "count"), ("networks", "count"), ("networks",))
        return self.model(raw, NodeKeys) or next(
            (node for keys in wanted if (node := readable(raw, _NODE, *keys)) is not None), None
        )

    @cached_property
    def wires(self) -> Mapping[Path, WireEnds]:
        """The wires that can be read, by their paths."""
        found: dict[Path, WireEnds] = {}
        for path, raw in self.items("links"):
            if isinstance(raw, dict) and "wire" in raw:
                wire = self.model(raw, WireEnds) or readable(raw, _WIRE, "wire", "name", "subnet", "ip")
                if wire is not None:
                    found[path] = wire
        return found

    @cached_property
    def wired(self) -> Mapping[str, Mapping[str, None]]:
        """Of each node that has wires, their names."""
        found: dict[str, dict[str, None]] = {}
        for wire in self.wires.values():
            for node in wire.wire:
                found.setdefault(node, {})[wire.network] = None
        return found

    @cached_property
    def counted(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the members of each group that a `count` makes."""
        return {name: member_names(name, node.count) for name, node in self.nodes.items() if node and node.count}

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the members of each group of nodes."""
        return {**self.counted, **self.document.groups}

    def members(self, name: str) -> tuple[str, ...]:
        """The nodes that a name stands for: one, or the members of a group."""
        return self.groups.get(name, (name,))

    @cached_property
    def written(self) -> Mapping[str, str]:
        """The name under `nodes` of each node: its own, or that of its group."""
        return {member: name for name in self.nodes for member in self.counted.get(name, (name,))}

    @cached_property
    def names(self) -> Mapping[str, None]:
        """All names that stand for nodes: those under `nodes`, then those of other groups, and of members."""
        return dict.fromkeys(chain(self.nodes, self.groups, *self.groups.values()))

    @cached_property
    def families(self) -> tuple[int, ...]:
        """The families of IP of networks that name none."""
        try:
            return _FAMILIES.validate_python(self._data["ip"])
        except (KeyError, ValidationError):
            return (IPV4,)

    def families_of(self, network: str) -> tuple[int, ...]:
        """The families of IP of a network or wire."""
        wire = next((each for each in self.wires.values() if each.network == network), None)
        found = self.networks.get(network) or wire
        return (found and found.families) or self.families

    @cached_property
    def on(self) -> Mapping[str, Mapping[str, Sequence[Address]]]:
        """Of each node that can be read its networks and wires, with the addresses that it asks for there.

        Of a group, the networks that all its members are on.
        """
        found: dict[str, Mapping[str, Sequence[Address]]] = {}
        for name, node in self.each.items():
            wires = self.wired.get(name, {})
            own = {} if wires and node.networks is None else node.attachments(self.networks)
            found[name] = {**{network: one.addresses for network, one in own.items()}, **dict.fromkeys(wires, ())}
        return found | {name: on_all([found[member] for member in members]) for name, members in self.groups.items()}

    @cached_property
    def each(self) -> Mapping[str, NodeKeys]:
        """Each node that can be read, by name; of groups their members."""
        written = ((name, node) for name, node in self.nodes.items() if node is not None)
        return {member: one for name, node in written for member, one in node.members(name).items()}

    @cached_property
    def graphs(self) -> Mapping[int, Graph]:
        """The paths between the nodes that can be read, of fewest hops, by family."""
        routers = {name: node.router for name, node in self.each.items() if node.router}
        return graphs_of({name: self.on[name] for name in self.each}, routers, self.families_of)

    def path(self, one: str, other: str) -> tuple[Hop, ...] | None:
        """The path from one node to another over any family; None if there is none."""
        ways = (graph.path(one, other) for graph in self.graphs.values())
        return next((way for way in ways if way is not None), None)

    def behind_nat(self, one: str, other: str) -> str | None:
        """The router whose NAT keeps packets of a node from another, which may send to it; None if there is none."""
        way = self.graphs[IPV4].path(other, one) or ()
        for (_, name, before), (_, _, after) in pairwise(way):
            router = self.each[name].router
            if router and before in router.hidden and after not in router.hidden:
                return name
        return None

    @cached_property
    def outside(self) -> Mapping[str, Mapping[str, Sequence[Address]]]:
        """As `on`, of the nodes that are built in: they are on every network, and links are possible on some."""
        return {name: dict.fromkeys(self.networks, ()) for name in BUILT_IN}

    def section(self, name: str) -> object:
        """The raw data of a top-level key; None where there is none."""
        return self._data.get(name)

    def items(self, *path: str) -> Iterator[tuple[Path, object]]:
        """The raw entries of a list, with their paths."""
        part_of_file: object = self._data
        for part in path:
            part_of_file = part_of_file.get(part) if isinstance(part_of_file, dict) else None
        yield from _items(part_of_file, path)

    def workloads(self) -> Iterator[tuple[Path, object]]:
        """The raw workloads with their paths, in the order of the file, those within `together` too."""
        for path, raw in self.items("workloads"):
            if isinstance(raw, dict) and "together" in raw:
                yield from _items(raw["together"], (*path, "together"))
            else:
                yield path, raw

    def model(self, raw: object, kind: type[Part]) -> Part | None:
        """The model of a part, or None where the part is not valid or of another kind."""
        model = self._models.get(id(raw))
        return model if isinstance(model, kind) else None

    def link(self, raw: object) -> LinkEntry | None:
        """The model of an entry of `links`, or None where it is not valid."""
        from testbed.topology.link_entries import LinkEntry  # noqa: PLC0415  # see OnDemand

        model = self._models.get(id(raw))
        return model if isinstance(model, LinkEntry) else None

    def line(self, path: Path) -> int:
        """The line that a part begins in."""
        return self.document.places[path].value.line


def readable(raw: object, adapter: TypeAdapter[Part], *keys: str) -> Part | None:
    """Return the values of some keys of a part, independent of its other keys; None if these keys are not valid."""
    try:
        entry = {key: value for key, value in raw.items() if key in keys} if isinstance(raw, dict) else raw
        return adapter.validate_python(entry)
    except ValidationError:
        return None


def text_of(value: object) -> str | None:
    """What a scalar that may stand for text was written as; None where it is no scalar."""
    text = getattr(value, "text", value)
    return text if isinstance(text, str) else None


def _items(found: object, path: Path) -> Iterator[tuple[Path, object]]:
    for index, raw in enumerate(found if isinstance(found, list) else ()):
        yield (*path, index), raw
