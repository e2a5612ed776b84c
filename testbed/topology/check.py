"""What must hold between the parts of a file: names that refer to something, addresses that fit, links that agree.

Works on whatever of the file can be read, so that a fault in one part does not hide those in others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from testbed.expectations import ExpectationError, parse
from testbed.topology.document import Document, Path
from testbed.topology.ends import DirectionEnds, PairEnds
from testbed.topology.files import Files
from testbed.topology.messages import show
from testbed.topology.models import SMALLEST_MTU, AnyLink, Direction, Network, Node, Pair
from testbed.topology.problems import Problem, nearest, quote
from testbed.topology.settings import factors_in, located
from testbed.topology.timeline_check import check_timeline
from testbed.topology.workloads import KINDS, AnyWorkload, Ends, Place, Work, Workload

_NETWORK = TypeAdapter(Network)
_NODE = TypeAdapter(Node)
_LINK: TypeAdapter[Pair | Direction] = TypeAdapter(AnyLink)
_ENDS = TypeAdapter(Ends)
_PLACE = TypeAdapter(Place)
_WORKLOAD: TypeAdapter[Workload | Work] = TypeAdapter(AnyWorkload)

Part = TypeVar("Part")


def check(document: Document, files: Files) -> Iterator[Problem]:
    """The contradictions in `document`, which names `files`, as far as its parts can be read."""
    data = document.data if isinstance(document.data, dict) else {}
    networks = {name: _read(entry, _NETWORK) for name, entry in _entries(data.get("networks", {"lan": {}}))}
    nodes = {name: _read(entry, _NODE, "networks") for name, entry in _entries(data.get("nodes"))}
    on = {
        name: {network: attachment.address for network, attachment in node.attachments(networks).items()}
        for name, node in nodes.items()
        if node is not None
    }
    checker = Checker(document, files, networks, nodes, on)
    yield from checker.attachments()
    yield from checker.addressing()
    yield from checker.links(_items(data.get("links"), ("links",)))
    yield from checker.workloads(_workloads(data.get("workloads")))
    yield from checker.capture(data.get("capture"))
    yield from checker.known(_items(data.get("sockets"), ("sockets",)))
    yield from checker.sweep()
    yield from check_timeline(checker, document)
    yield from checker.expectations(_items(data.get("expect"), ("expect",)), _kinds(data.get("workloads")))


def _read(data: object, adapter: TypeAdapter[Part], *keys: str, files: Files | None = None) -> Part | None:
    """The part of the file that `data` holds, or None where that is not valid (which is told elsewhere).

    With `keys`, only those of `data` are read, so that a fault in another does not matter.
    """
    entry = {} if data is None else data
    if keys and isinstance(entry, dict):
        entry = {key: value for key, value in entry.items() if key in keys}
    try:
        return adapter.validate_python(entry, context=files)
    except ValidationError:
        return None


def _entries(data: object) -> Iterator[tuple[str, object]]:
    yield from data.items() if isinstance(data, dict) else ()


def _items(data: object, path: Path) -> Iterator[tuple[Path, object]]:
    for index, item in enumerate(data if isinstance(data, list) else ()):
        yield (*path, index), item


def _workloads(data: object) -> Iterator[tuple[Path, object]]:
    """The workloads one by one, in the order of the file."""
    for path, item in _items(data, ("workloads",)):
        if isinstance(item, dict) and "together" in item:
            yield from _items(item["together"], (*path, "together"))
        else:
            yield path, item


def _kinds(data: object) -> Mapping[str, str | None]:
    """The kind of each workload that has a name; None where that is no kind."""
    kinds: dict[str, str | None] = {}
    for _, item in _workloads(data):
        if isinstance(item, dict) and (name := _text(item.get("name"))) is not None:
            kind = _text(item.get("kind"))
            kinds[name] = kind if kind in KINDS else None
    return kinds


def _text(value: object) -> str | None:
    """What a scalar that may stand for text was written as."""
    text = getattr(value, "text", value)
    return text if isinstance(text, str) else None


@dataclass(frozen=True, slots=True)
class Checker:
    """The parts that others refer to; None stands for one that has a name but is not valid.

    `on` is the networks that a valid node is on, with the address it asks for there.
    """

    document: Document
    files: Files
    networks: Mapping[str, Network | None]
    nodes: Mapping[str, Node | None]
    on: Mapping[str, Mapping[str, IPv4Address | None]]

    def problem(self, path: Path, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A fault of what `path` leads to; the message follows the path."""
        return self.document.problem(path, code, f"{show(path)} {message}", hint, at_key=at_key)

    def attachments(self) -> Iterator[Problem]:
        """Every node says which networks it is on, and they exist."""
        for name, node in self.nodes.items():
            path: Path = ("nodes", name)
            if node is None:
                continue
            if node.networks is None and len(self.networks) > 1:
                hint = nearest("", self.networks, "networks")
                yield self.problem(path, "missing-key", 'lacks "networks", and the file has several', hint)
            for index, network in enumerate(node.networks or ()):
                is_mapping = isinstance(node.networks, Mapping)
                at: Path = (*path, "networks", network if is_mapping else index)
                if network not in self.networks:
                    message = f"names {quote(network)}, which is no network"
                    hint = nearest(network, self.networks, "networks")
                    yield self.problem(at, "unknown-network", message, hint, at_key=is_mapping)
                elif not is_mapping and network in list(node.networks or ())[:index]:
                    yield self.problem(at, "duplicate-network", f"names {quote(network)} a second time")

    def addressing(self) -> Iterator[Problem]:
        """Subnets have room for their nodes and do not overlap; addresses given are in them."""
        members: dict[str, dict[str, IPv4Address | None]] = {name: {} for name in self.networks}
        for node, networks in self.on.items():
            for name, address in networks.items():
                members.get(name, {})[node] = address
        settled: list[tuple[IPv4Network, str]] = []
        for name, network in self.networks.items():
            subnet = network.fixed_subnet([one for one in members[name].values() if one]) if network else None
            if subnet is not None:
                yield from self.addresses(name, subnet, members[name])
                settled.append((subnet, name))
        for (one, first), (other, second) in pairwise(sorted(settled)):
            if one.overlaps(other):
                message = f"is {other}, which overlaps {one} of {quote(first)}"
                yield self.problem(("networks", second, "subnet"), "subnet-overlap", message)

    def addresses(
        self, network: str, subnet: IPv4Network, members: Mapping[str, IPv4Address | None]
    ) -> Iterator[Problem]:
        """The addresses that nodes ask for are in the subnet, usable, and asked for once."""
        room = subnet.num_addresses - 3  # without its own, the gateway's and the broadcast address
        if len(members) > room:
            message = f"has {len(members)} nodes, and {subnet} has room for {room}"
            yield self.problem(("networks", network), "subnet-full", message, "give a larger subnet")
        owners = {subnet[0]: "the subnet's own", subnet[1]: "the gateway's", subnet[-1]: "the broadcast address"}
        for node, address in members.items():
            path: Path = ("nodes", node, "networks", network, "address")
            if address is None:
                continue
            if address not in subnet:
                message = f"is {address}, which is not in the network's subnet, {subnet}"
                yield self.problem(path, "address-outside-subnet", message)
            elif address in owners:
                yield self.problem(path, "address-taken", f"is {address}, which is {owners[address]}")
            owners.setdefault(address, f"that of {node}")

    def existing(self, at: Path, node: str) -> Iterator[Problem]:
        """There is a node of that name."""
        if node not in self.nodes:
            hint = nearest(node, self.nodes, "nodes")
            yield self.problem(at, "unknown-node", f"names {quote(node)}, which is no node", hint)

    def ends(self, path: Path, ends: Mapping[Path, str]) -> Iterator[Problem]:
        """Both ends exist and differ; `ends` is node by where it is named."""
        for at, node in ends.items():
            yield from self.existing(at, node)
        if len(set(ends.values())) == 1:
            node = next(iter(ends.values()))
            yield self.problem(path, "same-node", f"leads from {quote(node)} to itself")

    def named_ends(self, path: Path, ends: PairEnds | DirectionEnds) -> Iterator[Problem]:
        """As `ends`, of either form of a link."""
        if isinstance(ends, PairEnds):
            yield from self.ends(path, {(*path, "between", i): node for i, node in enumerate(ends.between)})
        else:
            yield from self.ends(path, {(*path, "from"): ends.source, (*path, "to"): ends.destination})

    def shared(self, path: Path, one: str, other: str, asked: str | None) -> str | Problem | None:
        """The network that two nodes are to meet on; None where that cannot be told."""
        networks, others = self.on.get(one), self.on.get(other)
        if networks is None or others is None or one == other:
            return None
        common = [name for name in networks if name in others]
        hint = nearest(asked or "", common, f"networks that {one} and {other} share")
        if asked is not None and asked not in common:
            return self.problem(
                (*path, "network"), "unknown-network", f"is {quote(asked)}, which is none of theirs", hint
            )
        if not common:
            message = f"connects {quote(one)} and {quote(other)}, which share no network"
            return self.problem(path, "no-shared-network", message, "put both on one network")
        if asked is None and len(common) > 1:
            return self.problem(path, "missing-key", 'lacks "network", and the nodes share several', hint)
        return asked or common[0]

    def links(self, items: Iterator[tuple[Path, object]]) -> Iterator[Problem]:
        """Links lead somewhere, ask for something possible, and no two equally specific ones say different things."""
        seen: dict[tuple[type, str, str, str], Path] = {}
        for path, item in items:
            ends = _read(item, _LINK, "between", "from", "to", "network")
            if ends is None:
                continue
            yield from self.named_ends(path, ends)
            source, destination = ends.directions[0]
            network = self.shared(path, source, destination, ends.network)
            if isinstance(network, Problem):
                yield network
            elif network is not None:
                yield from self.duplicates(path, ends, network, seen)
            link = _read(item, _LINK, files=self.files)
            if link is not None:
                yield from self.impairment(path, link, self.networks.get(str(network)))

    def duplicates(
        self, path: Path, link: Pair | Direction, network: str, seen: dict[tuple[type, str, str, str], Path]
    ) -> Iterator[Problem]:
        """No link before this one, of the same form, is about the same direction; notes this one in `seen`."""
        keys = [(type(link), source, destination, network) for source, destination in link.directions]
        first = next((seen[key] for key in keys if key in seen), None)
        if first is not None:
            source, destination = link.directions[0]
            line = self.document.places[first].value.line
            message = f"is about {source} and {destination} on {network}, as is {show(first)} at line {line}"
            yield self.problem(path, "duplicate-link", message, "keep one of them")
        seen.update(dict.fromkeys(keys, path))

    def impairment(self, path: Path, link: Pair | Direction, network: Network | None) -> Iterator[Problem]:
        """A link's keys, with those of its profile, can be had together."""
        mtu = network.mtu if network else SMALLEST_MTU
        for fault in link.impairment.contradictions(mtu=mtu):
            yield self.problem((*path, *fault.path), fault.code, fault.said, fault.hint)

    def workloads(self, items: Iterator[tuple[Path, object]]) -> Iterator[Problem]:
        """Workloads have names of their own and lead somewhere."""
        names: dict[str, Path] = {}
        for path, item in items:
            place = _read(item, _PLACE, "name", "in")
            ends = _read(item, _ENDS, "name", "from", "to", "network")
            named = place or ends
            if named is None:
                continue
            first = names.setdefault(named.name, path)
            if first != path:
                line = self.document.places[first].value.line
                message = f"is {quote(named.name)}, as is that of {show(first)} at line {line}"
                yield self.problem((*path, "name"), "duplicate-name", message)
            if place is not None:
                yield from self.existing((*path, "in"), place.node)
            if ends is None:
                continue
            yield from self.ends(path, {(*path, "from"): ends.source, (*path, "to"): ends.destination})
            network = self.shared(path, ends.source, ends.destination, ends.network)
            if isinstance(network, Problem):
                yield network
            workload = _read(item, _WORKLOAD)
            for fault in workload.contradictions() if isinstance(workload, Workload) else ():
                yield self.problem((*path, *fault.path), fault.code, fault.said, fault.hint)

    def capture(self, data: object) -> Iterator[Problem]:
        """Nodes where packets are captured exist."""
        path: Path = ("capture",)
        if isinstance(data, dict):
            data, path = data.get("nodes"), ("capture", "nodes")
        yield from self.known(_items(data, path))

    def known(self, items: Iterator[tuple[Path, object]]) -> Iterator[Problem]:
        """Nodes of a list exist."""
        for at, item in items:
            name = _text(item)
            if name is not None and name not in self.nodes:
                hint = nearest(name, self.nodes, "nodes")
                yield self.problem(at, "unknown-node", f"names {quote(name)}, which is no node", hint)

    def sweep(self) -> Iterator[Problem]:
        """What is varied is in the file, and takes each value once."""
        for factor in factors_in(self.document):
            yield from factor.faults
            for level in factor.levels[:1]:
                if isinstance(path := located(self.document, level), Problem):
                    yield path

    def expectations(self, items: Iterator[tuple[Path, object]], kinds: Mapping[str, str | None]) -> Iterator[Problem]:
        """Expectations can be read, and are about what the workloads have."""
        for path, item in items:
            if (text := _text(item)) is None:
                continue
            try:
                parse(text, kinds)
            except ExpectationError as error:
                place = self.document.place_within(path, text, error.at)
                hint = nearest(error.found, error.allowed, error.what) if error.what else error.hint
                file = self.document.places[path].file
                yield Problem(file, *place, error.code, f"{show(path)} {error.said}", hint)
