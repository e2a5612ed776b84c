"""Topologies of what runs already, without a file: compose projects and containers, and links between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed import runtime as runtimes
from testbed.errors import UsageError
from testbed.lab.resolving import CONTAINERS, NAMESPACES
from testbed.plan import placement
from testbed.plan.changes import as_document
from testbed.present import as_name
from testbed.topology import discovered, document, loads_document
from testbed.topology.problems import nearest
from testbed.topology.values import NAME_PATTERN

if TYPE_CHECKING:
    from testbed.topology import Present, Topology

Link = Mapping[str, object]
"""An entry of `links` in a topology file; values may be text as it would be written there."""


def attached(
    names: Sequence[str],
    links: Mapping[str, Link],
    *,
    hosts: Mapping[str, str] = MappingProxyType({}),
    namespaces: bool = False,
    name: str | None = None,
    engine: str | None = None,
) -> Topology:
    """Return the topology of containers that run, or of network namespaces, with links between them.

    Args:
        names: of compose projects (one at most) and of containers; or names, pids or paths of network namespaces.
        links: by what messages call each.
        hosts: machines of a Swarm, addresses of their Docker Engines or names of contexts by name. Containers are then
            called MACHINE/CONTAINER, or by their names alone where only one machine has them.
        namespaces: whether the names are those of network namespaces.
        name: of the topology; that of the project or of the first container unless given.
        engine: `auto`, `netem` or `userspace`.

    Raises:
        TopologyError: a link is wrong; it tells all that is wrong.
        UsageError: a project, container or namespace is not there, or can't be attached.
        MachineError: no Docker Engine answers; only root can enter namespaces.
    """
    if namespaces and hosts:
        hint = "leave --namespace or --host out"
        raise UsageError("contradiction", "namespaces are those of this machine, and there are hosts", hint)
    runtime = NAMESPACES if namespaces else CONTAINERS
    if not names:
        raise UsageError("nothing-to-attach", "no project or container is named", "testbed attach PROJECT")
    present = runtimes.load(placement.SWARM if hosts else runtime).discover(names if namespaces else (), hosts)
    projects = [each for each in names if each in present.projects and not hosts]
    members = [each for each in names if each not in projects]
    if not namespaces:
        _require(projects, [_key(each, present, hosts) for each in members], present)
    nodes = _node_names(members)
    root = document.Position(1, 1)
    data: dict[str, object] = {"name": name or node_name(names[0]), "runtime": runtime, "links": []}
    whole: document.Path = ()
    places = {whole: document.Location(root, root, f"attach {' '.join(names)}")}
    if projects:
        data["compose"] = {"project": projects[0]}
    if members:
        data["nodes"] = {nodes[member]: _node(member, namespaces=namespaces, hosts=hosts) for member in members}
    if hosts:
        data["hosts"] = {**hosts}
    if engine:
        data["engine"] = engine
    for path in (*((section,) for section in data), *(("nodes", nodes[member]) for member in members)):
        places[path] = places[whole]
    data["links"] = [_link(index, label, link, nodes, places) for index, (label, link) in enumerate(links.items())]
    made = document.Document(name="attach", data=data, places=places, lines=(), problems=())
    return discovered(loads_document(made), present)


def node_name(name: str) -> str:
    """Return the name of the node that a container or a namespace is, which may be given by its path."""
    return as_name(name.rpartition("/")[2])


def _node_names(members: Sequence[str]) -> Mapping[str, str]:
    """Return the names of the nodes that containers or namespaces are; those of two machines have its name too."""
    short = Counter(map(node_name, members))
    return {each: node_name(each) if short[node_name(each)] == 1 else as_name(each) for each in members}


def _node(member: str, *, namespaces: bool, hosts: Mapping[str, str]) -> Mapping[str, str]:
    """Return the entry of a node in a file."""
    host, slash, container = member.rpartition("/")
    if hosts and slash:
        return {"host": host, "container": container}
    return {"namespace" if namespaces else "container": member}


def _key(member: str, present: Present, hosts: Mapping[str, str]) -> str:
    """Return the key of a container; one of several machines may be called by its name alone if no other has it.

    Raises:
        UsageError: `unknown-host`.
    """
    host, slash, _ = member.rpartition("/")
    if hosts and slash and host not in hosts:
        hint = nearest(host, hosts, "hosts")
        raise UsageError("unknown-host", f"{member!r} is on {host!r}, which is none of the hosts", hint)
    found = [key for key, each in present.containers.items() if each.name == member]
    return found[0] if len(found) == 1 else member


def _require(projects: Sequence[str], containers: Sequence[str], present: Present) -> None:
    if len(projects) > 1:
        hint = "name one project, and the containers of the other by their own names"
        raise UsageError("several-projects", f"{' and '.join(projects)} are compose projects", hint)
    for container in containers:
        if container not in present.containers:
            there = [*present.projects, *sorted(present.containers)]
            hint = nearest(container, there, "projects and containers") if there else "docker ps -a shows none"
            raise UsageError("unknown-container", f"no compose project or container is called {container!r}", hint)


def _link(
    index: int,
    label: str,
    link: Link,
    nodes: Mapping[str, str],
    places: dict[document.Path, document.Location],
) -> object:
    """A link's data, with the places of its values noted."""
    read = as_document(
        {key: _as_names(value, nodes) if key in ("between", "from", "to") else value for key, value in link.items()}
    )
    for path in read.places:
        at = label.find(f"{path[0]}=") if path else -1
        mark = document.Position(1, max(at, 0) + 1)
        places["links", index, *path] = document.Location(mark, mark, label)
    return read.data


def _as_names(value: object, nodes: Mapping[str, str]) -> object:
    """Return the names of nodes for names that may be those of containers."""
    if isinstance(value, list | tuple):
        return [_as_names(each, nodes) for each in value]
    if not isinstance(value, str) or re.fullmatch(NAME_PATTERN, value):
        return value
    return nodes.get(value) or node_name(value)
