"""Filling in what was discovered: containers that run become nodes of the file, and their networks its networks.

A file names a compose project or containers. What networks these are on, with which subnets and addresses, is known
only once they were looked at. Their data then takes its place beside the file's, and all is validated as any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count, product
from typing import TYPE_CHECKING

from testbed.topology.base import Fault
from testbed.topology.present import as_name
from testbed.topology.problems import nearest, quote

if TYPE_CHECKING:
    from testbed.topology.document import Document, Location, Path
    from testbed.topology.present import Present, PresentContainer

_LARGEST_MTU = 9000

Data = dict[str, object]
Names = Mapping[str, tuple[str, ...]]
"""By name in the file, the nodes that it means."""


def attaches(document: Document) -> bool:
    """Whether a document names a container, a network namespace or a network that the lab does not make itself."""
    return bool(_mapping(document.data, "compose")) or attaches_running(document)


def attaches_running(document: Document) -> bool:
    """Whether a document names a container, a network namespace or a network that is there before the lab is."""
    nodes, networks = _mapping(document.data, "nodes"), _mapping(document.data, "networks")
    compose = _mapping(document.data, "compose")
    return (
        ("project" in compose and "file" not in compose)
        or any(isinstance(node, dict) and node.keys() & {"container", "namespace"} for node in nodes.values())
        or any(isinstance(network, dict) and "present" in network for network in networks.values())
    )


def namespaces(document: Document) -> list[str]:
    """The network namespaces that a document names, as it calls them."""
    nodes = _mapping(document.data, "nodes").values()
    return [str(node["namespace"]) for node in nodes if isinstance(node, dict) and "namespace" in node]


def filled(document: Document, present: Present) -> tuple[Document, list[Fault]]:
    """Return a document with nodes and networks that were discovered in the place of those that it only names.

    Returns:
        It, and what it names that is not there, or can't be attached; where there is any, the document is of no use.
    """
    filling = _Filling(document, present)
    return filling.document(), filling.faults


@dataclass
class _Filling:
    """The filling of one document.

    Attributes:
        nodes: the containers that are nodes, by the node's name.
        means: what names of scaled services, and of containers that share a namespace, stand for.
        absent: why other containers of the project are no nodes, by the name that they would have.
        words: the file's names of networks, by the Docker Engine's.
    """

    source: Document
    present: Present
    faults: list[Fault] = field(default_factory=list)
    nodes: dict[str, PresentContainer] = field(default_factory=dict)
    means: dict[str, tuple[str, ...]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        """The filled document; `faults` says what is wrong."""
        data = self.source.data
        assert isinstance(data, dict)  # noqa: S101  # it was validated
        own = {name: entry or {} for name, entry in _mapping(data, "nodes").items()}
        named = {name: str(entry["container"]) for name, entry in own.items() if "container" in entry}
        for name, container in named.items():
            self._take(name, "container", container, self.present.containers)
        spaces = {name: str(entry["namespace"]) for name, entry in own.items() if "namespace" in entry}
        for name, namespace in spaces.items():
            self._take(name, "namespace", namespace, self.present.namespaces)
        if self._project:
            self._take_project(self._project, set(named.values()), own)
        self._join_namespaces()
        networks = self._networks(_mapping(data, "networks"))
        nodes = {name: entry for name, entry in own.items() if name not in {**named, **spaces}} | {
            name: own.get(name, {"container": found.name}) | {"networks": self._addresses(found)}
            for name, found in self.nodes.items()
        }
        places = dict(self.source.places)
        places |= {("nodes", name): places["compose",] for name in nodes if ("nodes", name) not in places}
        result: Data = {**data, "networks": networks, "nodes": nodes}
        self._name_nodes(result, places)
        return replace(
            self.source, data=result, places={path: place for path, place in places.items() if _leads(result, path)}
        )

    @property
    def _project(self) -> str:
        """The compose project whose containers are nodes."""
        return self.present.composed or str(_mapping(self.source.data, "compose").get("project", ""))

    def _fault(self, path: Path, code: str, said: str, hint: str = "") -> None:
        self.faults.append(Fault(path, code, said, hint))

    def _take(self, name: str, kind: str, wanted: str, present: Mapping[str, PresentContainer]) -> None:
        """Have a container, or a network namespace, that the file names as a node."""
        path = ("nodes", name, kind)
        found = present.get(wanted)
        if found is None:
            hint = nearest(wanted, present, f"{kind}s") if present else ""
            self._fault(path, f"unknown-{kind}", f"is {quote(wanted)}, and there is no such {kind}", hint)
        elif found.problem:
            self._fault(path, "not-attachable", f"is {quote(wanted)}, which {found.problem}")
        else:
            self.nodes[name] = found

    def _take_project(self, project: str, known: set[str], own: Mapping[str, object]) -> None:
        """Have the running containers of a compose project as nodes, but those that the file names itself."""
        path = ("compose", "file" if self.present.composed else "project")
        containers = [each for each in self.present.of_project(project) if each.name not in known]
        if project not in self.present.projects:
            hint = nearest(project, self.present.projects, "projects")
            self._fault(path, "unknown-project", f"is {quote(project)}, and no such project is up", hint)
            return
        for service in dict.fromkeys(each.service for each in containers):
            members = [each for each in containers if each.service == service]
            able = [each for each in members if not each.problem]
            for each in members:
                if each.problem:
                    self.absent[as_name(service)] = f"container {each.name} {each.problem}"
            names = [as_name(service)] if len(able) == 1 else [f"{as_name(service)}-{each.number}" for each in able]
            for name, each in zip(names, able, strict=True):
                if name in own or name in self.nodes:
                    hint = "give that node another name"
                    self._fault(("nodes", name), "duplicate-name", f"is also container {each.name} of {project}", hint)
                self.nodes[name] = each
            if len(able) > 1:
                self.means[as_name(service)] = tuple(names)
        if not self.nodes and not self.faults:
            reasons = "; ".join(self.absent.values())
            self._fault(path, "not-attachable", f"is {quote(project)}, none of whose containers can be: {reasons}")

    def _join_namespaces(self) -> None:
        """Have one node of all containers that share a network namespace; the other names mean that one."""
        owners = {each.name: name for name, each in self.nodes.items() if each.namespace == each.name}
        for name, each in list(self.nodes.items()):
            owner = owners.setdefault(each.namespace, name)
            if owner != name:
                del self.nodes[name]
                self.means[name] = (owner,)
        for name, members in self.means.items():
            expanded = [other for member in members for other in self.means.get(member, (member,))]
            self.means[name] = tuple(dict.fromkeys(expanded))

    def _networks(self, own: Mapping[str, object]) -> Data:
        """The networks of the file, and those that its containers are on."""
        result: Data = {}
        for word, raw in own.items():
            wanted = raw.get("present") if isinstance(raw, dict) else None
            if wanted is None:
                result[word] = raw
            elif wanted not in self.present.networks:
                hint = nearest(str(wanted), self.present.networks, "bridge networks")
                said = f"is {quote(str(wanted))}, and there is no such bridge network"
                self._fault(("networks", word, "present"), "unknown-network", said, hint)
            else:
                self.words[str(wanted)] = word
        for container in self.nodes.values():
            for attachment in container.attachments:
                if attachment.network not in self.words:
                    self.words[attachment.network] = self._word(attachment.network, {*own, *self.words.values()})
        for name, word in self.words.items():
            network = self.present.networks[name]
            result[word] = {
                "present": name,
                "subnet": network.subnet,
                "mtu": min(network.mtu, _LARGEST_MTU),
                "internal": network.internal,
            }
        return result

    def _word(self, name: str, taken: set[str]) -> str:
        """A name in the file for a Docker network: that of the compose file, otherwise one like its own."""
        network = self.present.networks[name]
        is_projects = network.word and network.project == self._project
        word = as_name(network.word if is_projects else name)
        candidates = chain([word], (f"{word}-{number}" for number in count(2)))
        return next(each for each in candidates if each not in taken)

    def _addresses(self, container: PresentContainer) -> Data:
        return {self.words[each.network]: {"address": str(each.address)} for each in container.attachments}

    def _name_nodes(self, data: Data, places: dict[Path, Location]) -> None:
        """Have links, events and workloads name nodes, where they name scaled services or share a namespace."""
        for section, within in (("links", None), ("timeline", "link"), ("timeline", "heal")):
            if section in data:
                self._name_ends(data, section, within, places)
        for index, entry in enumerate(_list(data, "timeline")):
            if isinstance(entry, dict) and isinstance(groups := entry.get("partition"), list):
                named = [list(self._members(group)) if isinstance(group, list) else group for group in groups]
                _list(data, "timeline")[index] = {**entry, "partition": named}
        if "workloads" in data:
            data["workloads"] = [self._workload(entry) for entry in _list(data, "workloads")]
        for section in ("capture", "sockets"):
            if isinstance(listed := data.get(section), list):
                data[section] = list(dict.fromkeys(self._members(listed)))
            elif isinstance(listed, dict) and isinstance(nodes := listed.get("nodes"), list):
                data[section] = {**listed, "nodes": list(dict.fromkeys(self._members(nodes)))}

    def _name_ends(self, data: Data, section: str, within: str | None, places: dict[Path, Location]) -> None:
        """Have the entries of a list name nodes as ends: in the entry itself, or `within` it."""
        entries: list[object] = []
        origins: list[int] = []
        for index, entry in enumerate(_list(data, section)):
            ends = entry if within is None else entry.get(within) if isinstance(entry, dict) else None
            if not isinstance(ends, dict):
                made = [entry]
            elif within is None:
                made = list(self._links((section, index), ends))
            else:
                made = [_with(entry, within, each) for each in self._links((section, index, within), ends)]
            entries += made
            origins += [index] * len(made)
        data[section] = entries
        _move(places, section, origins)

    def _links(self, path: Path, ends: Data) -> Iterator[Data]:
        """The links that one stands for."""
        if isinstance(pair := ends.get("between"), list) and len(pair) == 2:  # noqa: PLR2004  # both ends
            keys: tuple[tuple[str | int, ...], ...] = (("between", 0), ("between", 1))
            names = [str(name) for name in pair]
        elif "from" in ends and "to" in ends:
            keys, names = (("from",), ("to",)), [str(ends["from"]), str(ends["to"])]
        else:
            yield ends
            return
        for key, name in zip(keys, names, strict=True):
            if name in self.absent and name not in self.nodes and name not in self.means:
                self._fault((*path, *key), "not-attachable", f"names {quote(name)}: {self.absent[name]}")
        one, other = (self.means.get(name, (name,)) for name in names)
        if names[0] != names[1] and one == other and len(one) == 1:
            said = f"connects {quote(names[0])} and {quote(names[1])}, which share one network namespace"
            self._fault(path, "same-namespace", said, "what they send each other crosses no network: name other nodes")
            return
        for source, destination in product(one, other):
            if source != destination or names[0] == names[1]:
                if "between" in ends:
                    yield {**ends, "between": [source, destination]}
                else:
                    yield {**ends, "from": source, "to": destination}

    def _members(self, names: list[object]) -> Iterator[object]:
        for name in names:
            yield from self.means.get(str(name), (name,))

    def _workload(self, entry: object) -> object:
        if isinstance(entry, dict) and isinstance(together := entry.get("together"), list):
            return {**entry, "together": [self._workload(each) for each in together]}
        if not isinstance(entry, dict):
            return entry
        shared = {name: nodes[0] for name, nodes in self.means.items() if len(nodes) == 1}
        return entry | {key: shared.get(str(entry[key]), entry[key]) for key in ("from", "to") if key in entry}


def _move(places: dict[Path, Location], section: str, origins: list[int]) -> None:
    """Have the entries of a list at places of those that they were made from, given by their numbers."""
    before = {path: place for path, place in places.items() if path[:1] == (section,) and len(path) > 1}
    for path in before:
        del places[path]
    for index, origin in enumerate(origins):
        places |= {(section, index, *path[2:]): place for path, place in before.items() if path[1] == origin}


def _leads(data: object, path: Path) -> bool:
    """Whether there is something at a path; lists may be shorter than in the file."""
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True


def _with(data: object, key: str, value: object) -> Data:
    return {**data, key: value} if isinstance(data, dict) else {key: value}


def _mapping(data: object, key: str) -> dict[str, dict[str, object]]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _list(data: Data, key: str) -> list[object]:
    found = data.get(key)
    return found if isinstance(found, list) else []
