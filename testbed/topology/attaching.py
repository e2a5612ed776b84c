"""Filling in what was discovered: containers that run become nodes of the file, and their networks its networks.

A file names a compose project or containers. What networks these are on, with which subnets and addresses, is known
only once they were looked at. Their data then takes its place beside the file's, and all is validated as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from testbed.present import as_name, placed
from testbed.topology.base import Fault
from testbed.topology.problems import nearest, quote
from testbed.topology.values import LARGEST_MTU

if TYPE_CHECKING:
    from testbed.present import Present, PresentContainer
    from testbed.topology.document import Document, Path

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
        groups: the nodes of each service that has several containers.
        same: of containers that share the namespace of another, the node that they are.
        absent: why other containers of the project are no nodes, by the name that they would have.
        words: the file's names of networks, by the Docker Engine's.
    """

    source: Document
    present: Present
    faults: list[Fault] = field(default_factory=list)
    nodes: dict[str, PresentContainer] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        """The filled document; `faults` says what is wrong."""
        data = self.source.data
        assert isinstance(data, dict)  # noqa: S101  # it was validated
        own = {name: entry or {} for name, entry in _mapping(data, "nodes").items()}
        named = {
            name: self._where(str(entry["container"]), str(entry.get("host", "")))
            for name, entry in own.items()
            if "container" in entry
        }
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
            name: own.get(name, {"container": found.name}) | self._place(found) for name, found in self.nodes.items()
        }
        places = dict(self.source.places)
        places |= {("nodes", name): places["compose",] for name in nodes if ("nodes", name) not in places}
        result: Data = {**data, "networks": networks, "nodes": nodes}
        self._name_nodes(result)
        places = {path: place for path, place in places.items() if _leads(result, path)}
        return replace(self.source, data=result, places=places, groups=self.groups)

    @property
    def _project(self) -> str:
        """The compose project whose containers are nodes."""
        return self.present.composed or str(_mapping(self.source.data, "compose").get("project", ""))

    def _where(self, container: str, host: str) -> str:
        """Return the key of a container; without a host, it is the one of that name if there is only one."""
        found = [key for key, each in self.present.containers.items() if each.name == container]
        return found[0] if len(found) == 1 and not host else placed(container, host)

    def _fault(self, path: Path, code: str, said: str, hint: str = "") -> None:
        self.faults.append(Fault(path, code, said, hint))

    def _take(self, name: str, kind: str, wanted: str, present: Mapping[str, PresentContainer]) -> None:
        """Add a container, or a network namespace, that the file names as a node."""
        path = ("nodes", name, kind)
        found = present.get(wanted)
        if found is None:
            name_alone = wanted.rpartition("/")[2]
            elsewhere = [each.host for each in present.values() if each.host and each.name == name_alone]
            hint = nearest(wanted, present, f"{kind}s") if present else ""
            if elsewhere:
                hint = f"{name_alone} runs on {' and '.join(elsewhere)}: say so by host: {elsewhere[0]}"
            self._fault(path, f"unknown-{kind}", f"is {quote(wanted)}, and there is no such {kind}", hint)
        elif found.problem:
            self._fault(path, "not-attachable", f"is {quote(wanted)}, which {found.problem}")
        else:
            self.nodes[name] = found

    def _take_project(self, project: str, known: set[str], own: Mapping[str, object]) -> None:
        """Add the running containers of a compose project as nodes, except those that the file names itself."""
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
            if len(able) > 1 and as_name(service) in own:
                said = f"is also the name of the {len(able)} containers of service {service}"
                self._fault(("nodes", as_name(service)), "duplicate-name", said, "give that node another name")
            names = [as_name(service)] if len(able) == 1 else [f"{as_name(service)}-{each.number}" for each in able]
            for name, each in zip(names, able, strict=True):
                if name in own or name in self.nodes:
                    hint = "give that node another name"
                    self._fault(("nodes", name), "duplicate-name", f"is also container {each.name} of {project}", hint)
                self.nodes[name] = each
            if len(able) > 1:
                self.groups[as_name(service)] = tuple(names)
        if not self.nodes and not self.faults:
            reasons = "; ".join(self.absent.values())
            self._fault(path, "not-attachable", f"is {quote(project)}, none of whose containers can be: {reasons}")

    def _join_namespaces(self) -> None:
        """Make one node of all containers that share a network namespace; the other names mean the same node."""
        owners = {(each.host, each.name): name for name, each in self.nodes.items() if each.namespace == each.name}
        for name, each in list(self.nodes.items()):
            owner = owners.setdefault((each.host, each.namespace), name)
            if owner != name:
                del self.nodes[name]
                self.same[name] = owner
        for name, members in self.groups.items():
            self.groups[name] = tuple(dict.fromkeys(self.same.get(member, member) for member in members))

    def _networks(self, own: Mapping[str, object]) -> Data:
        """The networks of the file, and those that its containers are on."""
        result: Data = {}
        for word, raw in own.items():
            wanted = raw.get("present") if isinstance(raw, dict) else None
            if wanted is None:
                result[word] = raw
            elif wanted not in self.present.networks:
                kind = f"{'overlay' if _mapping(self.source.data, 'hosts') else 'bridge'} network"
                hint = nearest(str(wanted), self.present.networks, f"{kind}s")
                said = f"is {quote(str(wanted))}, and there is no such {kind}"
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
                "ip": "4",
                "mtu": min(network.mtu, LARGEST_MTU),
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

    def _place(self, container: PresentContainer) -> Data:
        """Where a container is: its networks, with its addresses, and its machine if there are several."""
        networks = {self.words[each.network]: {"address": str(each.address)} for each in container.attachments}
        return {"networks": networks} | ({"host": container.host} if container.host else {})

    def _name_nodes(self, data: Data) -> None:
        """Replace other names of a node by its own in links, events, workloads and captures."""
        for section, within in (("links", None), ("timeline", "link"), ("timeline", "heal")):
            for index, entry in enumerate(_list(data, section)):
                path: Path = (section, index) if within is None else (section, index, within)
                ends = entry if within is None else entry.get(within) if isinstance(entry, dict) else None
                if isinstance(ends, dict):
                    self._look_at_ends(path, ends)
        for section in ("links", "timeline", "workloads", "capture", "sockets"):
            if section in data:
                data[section] = self._named(data[section], section)

    def _look_at_ends(self, path: Path, ends: Data) -> None:
        """Report ends that are no nodes, and ends that are one and the same node."""
        places: list[tuple[Path, object]] = [(("from",), ends.get("from")), (("to",), ends.get("to"))]
        if isinstance(listed := ends.get("between"), list):
            places = [(("between", index), name) for index, name in enumerate(listed)]
        names = [str(name) for _, name in places]
        for key, name in places:
            if name in self.absent and name not in self.nodes and name not in {**self.groups, **self.same}:
                self._fault((*path, *key), "not-attachable", f"names {quote(str(name))}: {self.absent[str(name)]}")
        if len(names) == 2 and names[0] != names[1]:  # noqa: PLR2004  # both ends
            one, other = (self.same.get(name, name) for name in names)
            if one == other:
                said = f"connects {quote(names[0])} and {quote(names[1])}, which share one network namespace"
                hint = "what they send each other crosses no network: name other nodes"
                self._fault(path, "same-namespace", said, hint)

    def _named(self, value: object, key: str = "") -> object:
        """A section, or a part of it, with the names of nodes in place of those that are the same."""
        if isinstance(value, dict):
            return {each: self._named(one, str(each)) for each, one in value.items()}
        if isinstance(value, list):
            named = [self._named(one, key) for one in value]
            return list(dict.fromkeys(named)) if key in ("capture", "sockets", "nodes") else named
        return self.same.get(value, value) if isinstance(value, str) and key in _NAMING else value


_NAMING = ("between", "from", "to", "node", "partition", "capture", "sockets", "nodes")
"""The keys whose values are names of nodes, in lists or lists of lists."""


def _leads(data: object, path: Path) -> bool:
    """Whether there is something at a path; a list is shorter than in the file where it names the same node twice."""
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True


def _mapping(data: object, key: str) -> dict[str, dict[str, object]]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _list(data: Data, key: str) -> list[object]:
    found = data.get(key)
    return found if isinstance(found, list) else []
