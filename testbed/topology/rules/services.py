"""Services depend on nodes that there are, in no circle; their ports, mounts and networks fit together."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING

from testbed.topology.base import Fault
from testbed.topology.error_messages import show
from testbed.topology.problems import quote
from testbed.topology.rules import references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.services import PublishedPort
    from testbed.topology.document import Path
    from testbed.topology.nodes import NodeKeys
    from testbed.topology.rules.parts import Parts


def dependencies(parts: Parts) -> Iterator[Fault]:
    """Nodes depend on other nodes, which can tell that they are ready where that is asked, and in no circle."""
    graph: dict[str, list[str]] = {}
    for name, node in parts.nodes.items():
        graph[name] = []
        for at, other, condition in _dependencies(name, node):
            if parts.written.get(other, other) == name:
                yield Fault(at, "same-node", f"names {quote(name)}, which would wait for itself", "leave it out")
                continue
            yield from references.node(parts, at, other)
            graph[name].append(parts.written.get(other, other))
            if condition == "service_completed_successfully":
                hint = f"run what {other} does as setup: of {name}, or in {other}'s own setup:"
                yield Fault(at, "unsupported", "waits for a node to end, and nodes run as long as the lab is up", hint)
            explicit = node is not None and not isinstance(node.depends_on, tuple)
            if explicit and condition == "service_healthy" and _lacks_ready(parts, parts.written.get(other, other)):
                hint = f"give {other} a ready:, or ready: {{healthcheck: true}} if its image has a HEALTHCHECK"
                yield Fault(at, "never-healthy", f"waits until {quote(other)} is healthy, which has no ready", hint)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        said = f"waits for itself: {' -> '.join(circle)}"
        yield Fault(("nodes", circle[0], "depends_on"), "circle", said, "remove one of these")


def _dependencies(name: str, node: NodeKeys | None) -> Iterator[tuple[Path, str, str]]:
    """Yield what a node depends on: where that is in the file, the other node, and the condition."""
    if node is not None:
        is_list = isinstance(node.depends_on, tuple)
        for index, (other, condition) in enumerate(node.dependencies.items()):
            yield ("nodes", name, "depends_on", index if is_list else other), other, condition


def _lacks_ready(parts: Parts, name: str) -> bool:
    """Whether a node is there and says nothing of when it is ready, as far as that can be read."""
    raw = nodes.get(name, "") if isinstance(nodes := parts.section("nodes"), dict) else ""
    return raw is None or (isinstance(raw, dict) and "ready" not in raw)


def ports(parts: Parts) -> Iterator[Fault]:
    """Ports are published once, by nodes on a network that this machine forwards to."""
    published: list[tuple[Path, PublishedPort]] = []
    for name, node in parts.nodes.items():
        if node is None or not node.ports:
            continue
        networks = [parts.networks.get(network) for network in node.attachments(parts.networks)]
        if networks and all(network is not None and network.internal for network in networks):
            first = next(iter(node.attachments(parts.networks)))
            said = f"publishes ports, and network {quote(first)} is internal: nothing gets there from outside"
            hint = f"give the network internal: false (networks: {{{first}: {{internal: false}}}})"
            yield Fault(("nodes", name, "ports"), "internal-network", said, hint)
        for index, port in enumerate(node.ports):
            if port.host_port and (node.count or 1) > 1:
                said = f"publishes port {port.host_port}/{port.protocol} of each of {node.count} nodes"
                hint = f"leave it out ({port.port}): each member then gets a free port"
                yield Fault(("nodes", name, "ports", index), "duplicate-port", said, hint)
        published += [(("nodes", name, "ports", index), port) for index, port in enumerate(node.ports)]
    for (first_path, one), (path, other) in combinations(published, 2):
        if one.host_port and _same_place(one, other):
            said = f"publishes port {other.host_port}/{other.protocol}, as does {show(first_path)} at line "
            yield Fault(path, "duplicate-port", f"{said}{parts.line(first_path)}", "publish it on another port")


def _same_place(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether two ports can't be published at the same time."""
    everywhere = ("", "0.0.0.0")  # noqa: S104  # it is compared, not listened on
    meet = one.host_address == other.host_address or one.host_address in everywhere or other.host_address in everywhere
    return (one.host_port, one.protocol) == (other.host_port, other.protocol) and meet


def mounts(parts: Parts) -> Iterator[Fault]:
    """Nothing is mounted where something else is."""
    for name, node in parts.nodes.items():
        seen: dict[str, Path] = {}
        for path, target in _targets(name, node) if node else ():
            if target in seen:
                said = f"is mounted on {target}, as is {show(seen[target])}"
                yield Fault(path, "duplicate-target", said, "keep one of them")
            seen.setdefault(target, path)


def _targets(name: str, node: NodeKeys) -> Iterator[tuple[Path, str]]:
    """Yield where each mount of a node is in the file, and its path in the node."""
    for index, volume in enumerate(node.volumes):
        yield ("nodes", name, "volumes", index), volume.target
    for index, tmpfs in enumerate(node.tmpfs):
        yield ("nodes", name, "tmpfs", index), tmpfs.target
