"""Containers and networks that run already are taken as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.topology.base import Fault, Model
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from testbed.topology.document import Path
    from testbed.topology.rules.parts import Parts


def nodes(parts: Parts) -> Iterator[Fault]:
    """There are nodes."""
    data = parts.document.data
    if isinstance(data, dict) and not data.keys() & {"nodes", "compose"}:
        yield Fault((), "missing-key", 'lacks "nodes"', "name at least one node, or a compose project")


def keys(parts: Parts) -> Iterator[Fault]:
    """What runs already has no keys that say how to make it."""
    for name, node in parts.nodes.items():
        if node is not None and node.container is not None:
            yield from _refused(("nodes", name), node, "container", ("container", "host", "ready", "may_fail"))
        elif node is not None and node.namespace is not None:
            yield from _refused(("nodes", name), node, "namespace", ("namespace", "ready"))
    for name, network in parts.networks.items():
        if network is not None and network.present is not None:
            yield from _refused(("networks", name), network, "present", ("present",))


def forms(parts: Parts) -> Iterator[Fault]:
    """Network namespaces that are there already stand in a file of their own: the runtime of others has no access."""
    spaces = [name for name, node in parts.nodes.items() if node is not None and node.namespace is not None]
    if not spaces:
        return
    hint = "give it a file of its own; a container is a namespace too, by the pid of its first process"
    for name, node in parts.nodes.items():
        if node is not None and node.namespace is None:
            said = f"is no namespace that is there already, as {quote(spaces[0])} is: a file has one kind or the other"
            yield Fault(("nodes", name), "contradiction", said, hint, at_key=True)
    if parts.section("compose") is not None:
        said = f"can't be given beside {quote(spaces[0])}, which is a network namespace"
        yield Fault(("compose",), "contradiction", said, hint, at_key=True)


def _refused(path: Path, model: Model, key: str, kept: Collection[str]) -> Iterator[Fault]:
    for field in sorted(model.model_fields_set - set(kept)):
        word = type(model).model_fields[field].alias or field
        said = f"can't be given beside {key}: what runs already is taken as it is"
        yield Fault((*path, word), "contradiction", said, f"leave {word} out", at_key=True)
