"""What nodes on several machines can have: networks between machines are Docker Swarm's overlays.

What they can't have is refused here, with the reason, rather than made otherwise than the file says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.names import BUILT_IN
from testbed.topology.base import Fault
from testbed.topology.ends import WireEnds
from testbed.topology.problems import nearest, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.document import Path
    from testbed.topology.nodes import NodeKeys
    from testbed.topology.rules.parts import Parts

_UNSUPPORTED = "not-over-machines"
_ONE_MACHINE = "leave hosts out to have all nodes on one machine"


def hosts(parts: Parts) -> Iterator[Fault]:
    """Nodes are on machines that the file names, and have nothing that needs one machine."""
    known = parts.section("hosts")
    if not isinstance(known, dict):
        for name, node in parts.nodes.items():
            if node is not None and node.host is not None:
                said = f"is {quote(node.host)}, and the file has no hosts"
                yield Fault(
                    ("nodes", name, "host"), "unknown-host", said, "name the machines: hosts: {east: ssh://...}"
                )
        return
    runtime = parts.section("runtime")
    if runtime == "netns":
        said = "is netns, and nodes on several machines are containers"
        yield Fault(("runtime",), "contradiction", said, f"leave it out; or {_ONE_MACHINE}")
    if parts.section("compose") is not None:
        said = "is a project on one machine, and the nodes are on several"
        hint = "name its containers: nodes: {web: {host: east, container: shop-web-1}}"
        yield Fault(("compose",), _UNSUPPORTED, said, hint, at_key=True)
    for name, node in parts.nodes.items():
        if node is not None:
            if node.host is not None and node.host not in known:
                hint = nearest(node.host, known, "hosts")
                said = f"names {quote(node.host)}, which is not one of the hosts"
                yield Fault(("nodes", name, "host"), "unknown-host", said, hint)
            yield from _node(("nodes", name), node)
    yield from _networks(parts)
    yield from _links(parts)


def _node(path: Path, node: NodeKeys) -> Iterator[Fault]:
    reasons = {
        "namespace": (node.namespace, "is a namespace of one machine"),
        "ports": (node.ports, "are published by the machine through a network that links do not impair"),
    }
    for key, (value, why) in reasons.items():
        if value:
            yield Fault((*path, key), _UNSUPPORTED, f"{why}: nodes on several machines can't have it", _ONE_MACHINE)
    for index, volume in enumerate(node.volumes):
        if not volume.read_only:
            said = "may be written to, and is on this machine; other machines get copies, which nodes can't write to"
            yield Fault((*path, "volumes", index), _UNSUPPORTED, said, f"end it with :ro; or {_ONE_MACHINE}")


def _networks(parts: Parts) -> Iterator[Fault]:
    for name, network in parts.networks.items():
        path: Path = ("networks", name)
        if network is None:
            continue
        if network.present is not None:
            yield from _joined(parts, name)
        elif not network.internal:
            said = "is false, but what leaves an overlay network does so past all links"
            yield Fault((*path, "internal"), _UNSUPPORTED, said, f"leave it out; or {_ONE_MACHINE}")


def _joined(parts: Parts, network: str) -> Iterator[Fault]:
    """Networks of others have nodes that run already, and no others."""
    for name, node in parts.nodes.items():
        if node is not None and node.container is None and network in parts.on.get(name, ()):
            said = f"is to join {quote(network)}, which is there already, what was never tried between machines"
            hint = "let it run there first, and name it by container:"
            yield Fault(("nodes", name), _UNSUPPORTED, said, hint, at_key=True)


def _links(parts: Parts) -> Iterator[Fault]:
    for path, raw in parts.items("links"):
        link = parts.link(raw)
        if link is not None and not isinstance(link, WireEnds):
            named = {end for direction in link.directions for end in direction}
            for end in BUILT_IN:
                if end in named:
                    said = f"has the end {end}, which each of several machines would be"
                    yield Fault(path, _UNSUPPORTED, said, _ONE_MACHINE)
