"""The topology file, version 1."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, PrivateAttr

from testbed.families import FAMILIES, IPV4, Address
from testbed.matching import ANY_NODE, LinkKey, Match
from testbed.names import BUILT_IN
from testbed.present import Present
from testbed.topology.address_values import Families
from testbed.topology.attaching import attaches, attaches_running
from testbed.topology.base import EmptyIsDefault, Model, OnDemand, Recorded, key
from testbed.topology.captures import CaptureValue
from testbed.topology.chaos import Chaos
from testbed.topology.compose import Compose
from testbed.topology.document import Document
from testbed.topology.ends import LinkEnds
from testbed.topology.graph import Graph, graphs_of
from testbed.topology.groups import Groups, Precedence, instances_of, links_between, member_names, on_all, precedence
from testbed.topology.networks import Attachment, NetworkKeys
from testbed.topology.nodes import NodeKeys
from testbed.topology.referenced_files import Files
from testbed.topology.routers import NatKeys
from testbed.topology.values import Endpoint, Engine, ExpectationText, Name, SettingPath, Text

if TYPE_CHECKING:
    from testbed.topology.events import Event
    from testbed.topology.impairments import ImpairmentKeys
    from testbed.topology.link_entries import LinkEntry, Wire
    from testbed.topology.workloads import Together, Work, WorkloadKeys

    Links = tuple[LinkEntry, ...]
    Workloads = tuple[WorkloadKeys | Work | Together, ...]
    Timeline = tuple[Event, ...]
else:
    Links = Annotated[tuple[Any, ...], OnDemand("testbed.topology.link_entries", "AnyLink")]
    Workloads = Annotated[tuple[Any, ...], OnDemand("testbed.topology.workloads", "Entry")]
    Timeline = Annotated[tuple[Any, ...], OnDemand("testbed.topology.events", "AnyEvent")]

MOST_SEED = (1 << 63) - 1

Runtime = Literal["auto", "docker", "netns"]
Repetitions = Annotated[int, Field(strict=True, ge=1, le=1000)]


class Applied(NamedTuple):
    """What applies to a link: an entry, and the keys that it has for the link's direction."""

    entry: "LinkEntry"
    keys: "ImpairmentKeys"


class Sweep(Model):
    """What `testbed sweep` varies."""

    set: Mapping[SettingPath, Annotated[tuple[Any, ...], Field(min_length=1)]] = key(
        "The values to try, by the path of what they are for: `links[0].loss: [1%, 2%]`",
        example={"links[0].loss": ["1%", "2%"]},
    )
    repeat: Repetitions = key("How often each combination of them is run", default=5)


class Topology(Model):
    """A small network: nodes, the networks between them, the impairments of its links, and the traffic to run."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["nodes"]}, {"required": ["compose"]}]})

    name: Name = key("The topology's name; a lab's too, unless another is given", example="my-network")
    description: Text = key("What it shows, in one line", default="")
    seed: Annotated[int, Field(strict=True, ge=0, le=MOST_SEED)] | None = key(
        "Seed of all random numbers; derived from the name unless given", default=None, example=7
    )
    runtime: Runtime = key("What nodes are made of", default="auto")
    hosts: Annotated[Mapping[Name, Endpoint], Field(min_length=1)] = key(
        "Several machines, on whose Docker Engines the nodes are: addresses, or names of Docker contexts, by name",
        default={},
        example={"east": "ssh://user@east.example", "west": "ssh://user@west.example"},
    )
    engine: Engine = key("What applies the impairments of links", default="auto")
    families: Families = key(
        "The families of IP that networks have: 4, 6 or both", alias="ip", default=(IPV4,), written="4"
    )
    networks: Annotated[Mapping[Name, Annotated[NetworkKeys, EmptyIsDefault(), Recorded()]], Field(min_length=1)] = key(
        "L2 segments by name; one called `lan` unless given", default={"lan": NetworkKeys()}, written={"lan": {}}
    )
    written_nodes: Annotated[Mapping[Name, Annotated[NodeKeys, EmptyIsDefault(), Recorded()]], Field(min_length=1)] = (
        key(
            "Containers or namespaces, or groups of them, by name; needed unless `compose` is given",
            alias="nodes",
            default={},
            example={"client": {}, "server": {"image": "nginx"}},
        )
    )
    compose: Compose | None = key(
        "A compose project whose services are nodes too: one that is up, or files",
        default=None,
        example={"file": "docker-compose.yml"},
    )
    links: Links = key("Impairments between nodes; other links have none", default=())
    workloads: Workloads = key("Traffic, one after the other; `together` runs some at once", default=())
    timeline: Timeline = key("What changes at given times of a run", default=())
    chaos: Chaos | None = key(
        "Faults at random times, drawn from the seed, instead of a timeline",
        default=None,
        example={"every": "3s"},
    )
    expect: tuple[ExpectationText, ...] = key("Conditions on the metrics of a run", default=())
    capture: CaptureValue | None = key(
        "The nodes where packets are captured during a run", default=None, example=["client"]
    )
    sockets: tuple[Name, ...] = key(
        "The nodes whose TCP connections are sampled during a run, whichever program has them", default=()
    )
    sweep: Sweep | None = key("What `testbed sweep` varies", default=None, example={"set": {"seed": [1, 2]}})

    _directory: Path = PrivateAttr(default=Path("/"))
    _document: Document | None = PrivateAttr(default=None)
    _present: Present | None = PrivateAttr(default=None)

    def model_post_init(self, files: Files | None) -> None:
        """Store the directory of the file, which comes from the validation context."""
        if files is not None:
            self._directory = files.directory.absolute()

    @property
    def directory(self) -> Path:
        """The directory that the topology file is in."""
        return self._directory

    def keep(self, document: Document, present: Present | None) -> None:
        """Keep what the topology was read from, and what was discovered of the containers that it attaches."""
        self._document, self._present = document, present

    @property
    def document(self) -> Document:
        """What the topology was read from; ValueError where it was made otherwise."""
        if self._document is None:
            raise ValueError("this topology was not read from a text")
        return self._document

    @property
    def lacks_discovery(self) -> bool:
        """Whether it names existing containers or namespaces that have not been looked up yet.

        See `testbed.topology.discovered`.
        """
        return self._present is None and attaches(self.document)

    @property
    def attaches_running(self) -> bool:
        """Whether it names containers or networks that exist before the lab does."""
        return attaches_running(self.document)

    @property
    def present(self) -> Present:
        """What was discovered about existing containers, namespaces and networks."""
        return self._present or Present()

    @cached_property
    def nodes(self) -> Mapping[str, NodeKeys]:
        """The nodes by name; of a group its members."""
        return {member: one for name, node in self.written_nodes.items() for member, one in node.members(name).items()}

    @cached_property
    def groups(self) -> Groups:
        """The names of the members of each group."""
        counted = {
            name: member_names(name, node.count) for name, node in self.written_nodes.items() if node.count is not None
        }
        return {**counted, **(self._document.groups if self._document else {})}

    def members(self, *names: str) -> tuple[str, ...]:
        """Return the names of nodes, with the members of a group in place of its name."""
        return tuple(member for name in names for member in self.groups.get(name, (name,)))

    @cached_property
    def wires(self) -> Mapping[str, "Wire"]:
        """The wires by the names of their networks."""
        if not self.links:
            return {}
        from testbed.topology.link_entries import Wire  # noqa: PLC0415  # see OnDemand

        return {link.network: link for link in self.links if isinstance(link, Wire)}

    @cached_property
    def segments(self) -> Mapping[str, NetworkKeys]:
        """All networks by name, each wire as one; without the one that every file has, where no node is on it."""
        present = {name for attached in self._attached.values() for name in attached}
        given = "networks" in self.model_fields_set
        own = {name: network for name, network in self.networks.items() if given or name in present}
        return own | {
            name: NetworkKeys.model_construct(
                wire.model_fields_set & NetworkKeys.model_fields.keys(),
                families=wire.families,
                subnets=wire.subnets,
                mtu=wire.mtu,
            )
            for name, wire in self.wires.items()
        }

    def families_of(self, network: str) -> tuple[int, ...]:
        """Return the families of IP that a network has."""
        return self.segments[network].families or self.families

    @cached_property
    def _attached(self) -> Mapping[str, Mapping[str, Attachment]]:
        wired: dict[str, dict[str, Attachment]] = {name: {} for name in self.nodes}
        for network, wire in self.wires.items():
            for node in wire.wire:
                wired[node][network] = Attachment()
        return {
            name: {**({} if node.networks is None and wired[name] else node.attachments(self.networks)), **wired[name]}
            for name, node in self.nodes.items()
        }

    def attachments(self, node: str) -> Mapping[str, Attachment]:
        """Return the networks that a node, or each member of a group, is on, by name; its wires after the others.

        A built-in node is on all networks that lead out.
        """
        if node in BUILT_IN:
            return {name: Attachment() for name, network in self.networks.items() if not network.internal}
        if node in self._attached:
            return self._attached[node]
        return on_all([self._attached[member] for member in self.members(node)])

    @cached_property
    def nats(self) -> Mapping[str, NatKeys]:
        """What translates addresses, by the names of its routers."""
        return {name: node.router.nat for name, node in self.nodes.items() if node.router and node.router.nat}

    @cached_property
    def graphs(self) -> Mapping[int, Graph]:
        """The paths between nodes, by family."""
        applied = self.applied(lambda entry: entry.cost is not None)
        costs = {link[:3]: one.entry.cost or 1 for link, one in applied.items()}
        routers = {name: node.router for name, node in self.nodes.items() if node.router}
        return graphs_of(self._attached, routers, self.families_of, lambda *hop: costs.get(hop, 1))

    def family(self, workload: "WorkloadKeys | Work") -> int:
        """Return the family of IP of a workload: the one that the file gives, or the first that leads there."""
        if workload.family is not None:
            return workload.family
        ends, network = (workload.source, workload.destination), workload.network
        usable = (family for family in FAMILIES if self.graphs[family].connects(*ends, network))
        return next(usable, self.families[0])

    def addresses(self, network: str, family: int) -> Mapping[str, Address]:
        """Return the addresses of a family that the file gives on a network, by node."""
        attached = {node: self.attachments(node).get(network) for node in self.nodes}
        return {
            node: address
            for node, attachment in attached.items()
            if attachment
            for address in attachment.addresses
            if address.version == family
        }

    @property
    def later_addresses(self) -> frozenset[IPv4Address]:
        """The addresses that the timeline gives nodes."""
        if not self.timeline:
            return frozenset()
        from testbed.topology.events import Rebind  # noqa: PLC0415  # see OnDemand

        given = (event.address for event in self.timeline if isinstance(event, Rebind))
        return frozenset(address for address in given if isinstance(address, IPv4Address))

    def network_between(self, node: str, other: str, named: str | None) -> str:
        """Return the network that two neighbours, nodes or groups, share: the one `named`, or the only one.

        With `ANY_NODE` for one of them, it is the network of the other.
        """
        on = [self.attachments(each) for each in (node, other) if each != ANY_NODE]
        return named or next(name for name in on[0] if name in on[-1])

    def applied(self, is_meant: "Callable[[LinkEntry], bool]" = lambda _: True) -> dict[LinkKey, Applied]:
        """Return what applies to each link that the file names, see `precedence`; equal things are one object.

        Links in one direction between two nodes, which differ in their `match`, are in the order of the file.

        Args:
            is_meant: whether an entry counts.
        """
        found: dict[LinkKey, Applied] = {}
        ranks: dict[LinkKey, Precedence] = {}
        for entry in filter(is_meant, self.links):
            match = entry.match
            for source, destination in dict.fromkeys(entry.directions):
                rank = precedence(entry, source, destination, self.groups)
                applied = Applied(entry, entry.keys_between(source, destination))
                for link in self.links_between(source, destination, entry.network, match):
                    if link not in found or rank > ranks[link]:
                        found[link], ranks[link] = applied, rank
        return found

    def links_of(self, ends: LinkEnds) -> Iterator[LinkKey]:
        """Yield each link between nodes, or members of groups, that are named as ends; once per direction."""
        for source, destination in dict.fromkeys(ends.directions):
            yield from self.links_between(source, destination, ends.network, ends.match)

    def links_between(self, source: str, destination: str, named: str | None, match: Match | None) -> Iterator[LinkKey]:
        """Yield each link from a node, or each member of a group, to another."""
        network = self.network_between(source, destination, named)
        return links_between(self.members(source), self.members(destination), network, match)

    def instances(self, workload: "WorkloadKeys | Work") -> "tuple[WorkloadKeys | Work, ...]":
        """Return what a workload of the file runs: itself, or one for each member of the groups that it names."""
        return tuple(instances_of(workload, self.groups))

    @property
    def stages(self) -> "tuple[tuple[WorkloadKeys | Work, ...], ...]":
        """The workloads as the file has them, by stage; those within a stage run at the same time."""
        if not self.workloads:
            return ()
        from testbed.topology.workloads import Together  # noqa: PLC0415  # see OnDemand

        return tuple(entry.together if isinstance(entry, Together) else (entry,) for entry in self.workloads)
