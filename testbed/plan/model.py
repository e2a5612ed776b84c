"""What a topology resolves to: every address, MAC, name, seed and port chosen; integers only, nothing left to parse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from testbed import codec
from testbed.decisive import ADDED, NOT_DECISIVE, SEED, decisive
from testbed.errors import unknown_node
from testbed.expectations import Expectation
from testbed.families import FAMILIES, IPV4
from testbed.faults import Fault, SetClock, Throttle
from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match
from testbed.names import BUILT_IN, INTERNET, checked
from testbed.plan.digest import digest, place
from testbed.plan.events import Event
from testbed.plan.nodes import Group, Host, Interface, Network, Node
from testbed.plan.workloads import CaptureSettings, Workload
from testbed.services import ComposeProject

VERSION = 2
"""The version of the plan's form, part of its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction between two nodes on a network, or a node's uplink or downlink, with what it does to packets.

    Attributes:
        source, destination: names of nodes, one of them perhaps a built-in one; or `ANY_NODE`, see `LinkKey`.
        network: the network that both are on.
        impairments: as the file has it; clear only where the timeline gives it another. Links that never do anything
            are not in the plan.
        seed: of all that is random on this link, 64 bits, derived from the plan's seed and the link's ends.
        engine: `auto`, `netem` or `userspace`, as the file asks.
        profile: the profile that the impairments started from, or None; for people to read.
        match: the packets that the link is for; None for all that no other link in this direction is for. Of links that
            select the same packet, the first in the plan takes it.
    """

    source: str
    destination: str
    network: str
    impairments: Impairments
    seed: int = field(metadata=SEED)
    engine: str
    profile: str | None = field(metadata=NOT_DECISIVE)
    match: Match | None = field(default=None, metadata=ADDED)

    @property
    def key(self) -> LinkKey:
        """What identifies the link."""
        return LinkKey(self.source, self.destination, self.network, self.match)

    @property
    def name(self) -> str:
        """The link's name in messages and results."""
        return self.key.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A topology with nothing left to choose.

    Attributes:
        lab: the name that the lab goes by; the topology's unless another was given.
        topology: the name in the file.
        runtime: `auto`, `docker`, `netns`, or `swarm` where there are hosts, as the file or the command line asks.
        seed_given: the seed was asked for, so that it matters that a run can be repeated; else the name gave it. What
            is done is the same, so it is not part of the digest.
        stages: the workloads, stage after stage; those within one stage run together.
        timeline: what happens while the workloads run, in the order of time.
        expectations: what must hold of what is measured. They change nothing of what is done, so they are not part of
            the digest: runs stay comparable when an expectation is added.
        sockets: the nodes whose TCP connections are sampled. As what is captured, no part of the digest.
        groups: the groups of nodes. What they stand for is spelled out everywhere else; they are for people to name.
        capture: what packets are captured. That changes nothing of the traffic, so it is not part of the digest.
        project: name of the compose project that the lab brings up; empty where it brings none up. Names of its
            containers and networks follow from it, so that no name of the Docker Engine is part of the digest then.
        services: SHA-256 (hex) of what that project's services are.
        compose: the project's files. Paths of this machine, so no part of what is stored.
        beyond: address that stands for what is beyond this machine, `internet`, when links with it are measured. Empty
            where no network leads out.
        hosts: the machines that the nodes are on; none where that is this machine.
        directory: where commands of nodes start in runtime netns: the topology file's. A path of this machine, so no
            part of what is stored.
    """

    lab: str = field(metadata=NOT_DECISIVE)
    topology: str
    description: str = field(metadata=NOT_DECISIVE)
    seed: int = field(metadata=SEED)
    runtime: str = field(metadata=NOT_DECISIVE)
    networks: tuple[Network, ...]
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    stages: tuple[tuple[Workload, ...], ...]
    seed_given: bool = field(default=False, metadata=NOT_DECISIVE)
    timeline: tuple[Event, ...] = field(default=(), metadata=ADDED)
    expectations: tuple[Expectation, ...] = field(default=(), metadata=NOT_DECISIVE)
    sockets: tuple[str, ...] = field(default=(), metadata=NOT_DECISIVE)
    groups: tuple[Group, ...] = field(default=(), metadata=NOT_DECISIVE)
    capture: CaptureSettings = field(default=CaptureSettings(), metadata=NOT_DECISIVE)
    project: str = field(default="", metadata=NOT_DECISIVE)
    services: str = field(default="", metadata=ADDED)
    beyond: str = field(default="", metadata=NOT_DECISIVE)
    hosts: tuple[Host, ...] = field(default=(), metadata={**NOT_DECISIVE, **codec.OMIT_DEFAULT})
    compose: ComposeProject | None = field(default=None, compare=False, metadata={**codec.NOT_STORED, **NOT_DECISIVE})
    directory: str = field(default="/", compare=False, metadata={**codec.NOT_STORED, **NOT_DECISIVE})
    version: int = field(default=VERSION)

    def __post_init__(self) -> None:
        """Refuse invalid names, because files are named by them, and expectations of metrics that no workload has.

        Raises:
            UsageError: `bad-name`.
            ValueError: there is such an expectation.
        """
        checked(self.lab)
        for parts in (self.networks, self.nodes, self.workloads):
            for part in parts:
                checked(part.name)
        kinds = self.kinds
        for term in (term for expectation in self.expectations for term in expectation.metrics):
            if kinds.get(term.workload) not in term.metric.kinds:
                raise ValueError(f"an expectation names {term}, which no workload has")

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """All workloads in the order of the file."""
        return tuple(workload for stage in self.stages for workload in stage)

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each workload by name, those that members of a group run also under the name of all of them."""
        single = {workload.name: workload.kind for workload in self.workloads}
        return {workload.group: workload.kind for workload in self.workloads if workload.group} | single

    def node(self, name: str) -> Node:
        """Return the node of that name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def end(self, name: str) -> Node:
        """Return the node of that name, also if it is built in; KeyError if there is none."""
        return self._built_in(name) if name in BUILT_IN else self.node(name)

    def mtu(self, network: str, *ends: str) -> int:
        """Return the size of the largest IP packet on a network that fits the interfaces of some nodes there, bytes."""
        of_network = next(each.mtu for each in self.networks if each.name == network)
        return min([of_network, *(self.end(end).on(network).mtu or of_network for end in ends)])

    @property
    def ends(self) -> tuple[Node, ...]:
        """All nodes, and after them the built-in ones that links have as ends."""
        named = {end for link in self.links for end in (link.source, link.destination)}
        return (*self.nodes, *(self._built_in(name) for name in BUILT_IN if name in named))

    def _built_in(self, name: str) -> Node:
        """A built-in node, which is on all networks that lead out, with the gateway's address."""
        interfaces = tuple(
            Interface(
                network=network.name,
                name="",
                address=self.beyond if name == INTERNET else network.gateway,
                prefix_length=network.subnets[IPV4].prefixlen,
                mac="",
            )
            for network in self.networks
            if not network.internal and network.subnet
        )
        return Node(
            name=name,
            interfaces=interfaces,
            image=None,
            command=(),
            environment={},
            cpus_milli=0,
            memory_bytes=0,
            sysctls={},
            ready=None,
        )

    @property
    def names_by_address(self) -> Mapping[str, str]:
        """The names of nodes by their addresses; IPv6 ones are in brackets, as before a port."""
        return {
            f"[{address}]" if ":" in address else address: node.name
            for node in self.nodes
            for interface in node.interfaces
            for address in interface.addresses
        }

    def known(self, name: str) -> Node:
        """Return the node that a user names.

        Raises:
            UsageError: `unknown-node`.
        """
        names = [node.name for node in self.nodes]
        if name not in names:
            raise unknown_node(name, names)
        return self.node(name)

    def members(self, *names: str) -> tuple[str, ...]:
        """Return the names of the nodes that a user names, with the members of a group in place of its name.

        Raises:
            UsageError: `unknown-node`.
        """
        found: list[str] = []
        for name in names:
            group = next((group for group in self.groups if group.name == name), None)
            found += group.nodes if group else [self.known(name).name]
        return tuple(found)

    @property
    def faults(self) -> Iterator[Fault]:
        """What happens to nodes in the timeline."""
        return (fault for event in self.timeline for fault in event.faults)

    @property
    def limited(self) -> frozenset[str]:
        """The nodes with limits on CPUs, CPU time, memory or processes, at first or during a run."""
        throttled = {fault.node for fault in self.faults if isinstance(fault, Throttle)}
        limited = (node.name for node in self.nodes if node.cpus_milli or node.memory_bytes or node.service.is_confined)
        return frozenset(throttled.union(limited))

    @property
    def clocked(self) -> frozenset[str]:
        """The nodes whose clock the timeline changes."""
        return frozenset(fault.node for fault in self.faults if isinstance(fault, SetClock))

    def all_impairments(self) -> dict[LinkKey, tuple[Impairments, ...]]:
        """Return all impairments of each link during a run, in the order of links; the file's impairments first."""
        by_link: dict[LinkKey, dict[Impairments, None]] = {link.key: {link.impairments: None} for link in self.links}
        for change in (change for event in self.timeline for change in event.changes):
            by_link.setdefault(change.key, {})[change.impairments] = None
        return {key: tuple(all_impairments) for key, all_impairments in by_link.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object, which `from_json` reads."""
        encoded: dict[str, Any] = codec.encode(self)
        return encoded

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` made `data` from.

        Raises:
            UnreadableError: it is no plan, or one of another version.
        """
        if (version := data.get("version")) != VERSION:
            raise codec.UnreadableError("version", f"{version!r}; this is for version {VERSION}")
        return codec.decode(data, cls)

    @property
    def digest(self) -> str:
        """The digest, which differs exactly if plans decide different behaviour; see `testbed.plan.digest`."""
        return digest(self.decisive())

    def decisive(self, *, seeds: bool = True) -> dict[str, Any]:
        """Return all that decides what the plan does, as JSON, with or without its seeds; see `testbed.decisive`."""
        subnets = [(network, *found) for network in self.networks for found in network.subnets.items()]
        allocated = {
            each: [subnet for network, family, subnet in subnets if family == each and network.is_allocated(family)]
            for each in FAMILIES
        }
        present = [subnet for network, _, subnet in subnets if network.present]
        plan = self._without_project() if self.project else self
        found: dict[str, Any] = decisive(plan, lambda address: place(address, allocated, present), seeds=seeds)
        return found

    def _without_project(self) -> Plan:
        """The plan without what the Docker Engine chooses, and names that follow from the compose project's."""
        nodes = tuple(
            replace(
                node,
                container=node.container and node.name,
                interfaces=tuple(replace(each, prefix_length=0) for each in node.interfaces)
                if node.container
                else node.interfaces,
            )
            for node in self.nodes
        )
        networks = tuple(replace(each, present=each.present and each.name) for each in self.networks)
        return replace(self, nodes=nodes, networks=networks)
