"""Topologies of what runs already, without a file: compose projects and containers, and links between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import check
from testbed import runtime as runtimes
from testbed.analysis import formatting
from testbed.errors import UsageError
from testbed.lab.lab import Lab
from testbed.lab.observer import SILENT
from testbed.lab.resolving import resolve
from testbed.plan.changes import as_document
from testbed.topology import discovered, document, loads_document
from testbed.topology.present import as_name
from testbed.topology.problems import nearest
from testbed.topology.values import NAME_PATTERN

if TYPE_CHECKING:
    from testbed.check import LinkCheck
    from testbed.lab.observer import Observer
    from testbed.topology import Present, Topology

Link = Mapping[str, object]
"""An entry of `links` in a topology file; values may be text as it would be written there."""


def attached(
    names: Sequence[str], links: Mapping[str, Link], *, name: str | None = None, engine: str | None = None
) -> Topology:
    """Return the topology of containers that run, with links between them.

    Args:
        names: of compose projects (one at most) and of containers.
        links: by what messages call each.
        name: of the topology; that of the project or of the first container unless given.
        engine: `auto`, `netem` or `userspace`.

    Raises:
        TopologyError: a link is wrong; it tells all that is wrong.
        UsageError: a project or container is not there, or can't be attached.
        MachineError: no Docker Engine answers.
    """
    present = runtimes.load("docker").discover()
    projects = [each for each in names if each in present.projects]
    containers = [each for each in names if each not in projects]
    _require(names, projects, containers, present)
    root = document.Mark(1, 1)
    data: dict[str, object] = {"name": name or as_name(names[0]), "runtime": "docker", "links": []}
    whole: document.Path = ()
    places = {whole: document.Location(root, root, f"attach {' '.join(names)}")}
    if projects:
        data["compose"] = {"project": projects[0]}
    if containers:
        data["nodes"] = {as_name(container): {"container": container} for container in containers}
    if engine:
        data["engine"] = engine
    for path in (*((section,) for section in data), *(("nodes", as_name(container)) for container in containers)):
        places[path] = places[whole]
    data["links"] = [_link(index, label, link, places) for index, (label, link) in enumerate(links.items())]
    made = document.Document(name="attach", data=data, places=places, lines=(), problems=())
    return discovered(loads_document(made), present)


def check_present(
    topology: Topology, *, deep: bool = False, budget_s: float | None = None, observer: Observer = SILENT
) -> tuple[LinkCheck, ...]:
    """Measure the links of a topology of containers that run, without impairing them: another tool does that.

    Args:
        topology: as `attached` returns it, with what its links are to do.
        deep: see `Lab.check`, as of the others.
        budget_s: time limit in seconds.
        observer: receives the progress.

    Raises:
        LabError: a container can't be measured.
    """
    wanted = resolve(topology)
    with Lab.up(replace(wanted, links=()), observer=observer) as lab, lab.watch_nodes():
        observer.begun("check", "probing the links")
        depth = check.DEEP if deep else check.QUICK
        found = check.measure(lab.plan, lab, links=wanted.links, depth=depth, budget_s=budget_s)
        observer.ended("check", formatting.links_verdict(found))
        return found


def _require(names: Sequence[str], projects: Sequence[str], containers: Sequence[str], present: Present) -> None:
    if not names:
        raise UsageError("nothing-to-attach", "no project or container is named", "testbed attach PROJECT")
    if len(projects) > 1:
        hint = "name one project, and the containers of the other by their own names"
        raise UsageError("several-projects", f"{' and '.join(projects)} are compose projects", hint)
    for container in containers:
        if container not in present.containers:
            there = [*present.projects, *sorted(present.containers)]
            hint = nearest(container, there, "projects and containers") if there else "docker ps -a shows none"
            raise UsageError("unknown-container", f"no compose project or container is called {container!r}", hint)


def _link(index: int, label: str, link: Link, places: dict[document.Path, document.Location]) -> object:
    """A link's data, with the places of its values noted."""
    read = as_document(
        {key: _as_names(value) if key in ("between", "from", "to") else value for key, value in link.items()}
    )
    for path in read.places:
        at = label.find(f"{path[0]}=") if path else -1
        mark = document.Mark(1, max(at, 0) + 1)
        places["links", index, *path] = document.Location(mark, mark, label)
    return read.data


def _as_names(value: object) -> object:
    """Return the names of nodes for names that may be those of containers."""
    if isinstance(value, list | tuple):
        return [_as_names(each) for each in value]
    return as_name(value) if isinstance(value, str) and not re.fullmatch(NAME_PATTERN, value) else value
