"""Rules between the parts of a file, one module per subject.

Rules work on the parts that can be read, so that a fault in one part does not hide those in others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.topology.attaching import attaches
from testbed.topology.rules import (
    addressing,
    attaching,
    attachments,
    groups,
    hosts,
    links,
    references,
    routers,
    services,
    timeline,
    workloads,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.base import Fault
    from testbed.topology.rules.parts import Parts

_RULES_OF_NAMES = (
    references.built_in,
    groups.names,
    references.attachments,
    attachments.attachments,
    references.captures,
    references.sockets,
    addressing.subnets,
    routers.wires,
    routers.routers,
    routers.sides,
    routers.forwards,
    routers.gates,
    routers.routes,
    services.dependencies,
    services.ports,
    services.mounts,
    hosts.hosts,
    links.links,
    workloads.workloads,
    timeline.events,
)
"""Those about nodes and networks, all of which must be known."""


def broken_rules(parts: Parts, *, is_filled: bool = False) -> Iterator[Fault]:
    """Yield the faults that the rules find in a file.

    Args:
        parts: of the file.
        is_filled: whether what runs already was discovered and filled in.
    """
    rules = [attaching.nodes, workloads.expectations]
    if not is_filled:
        rules += [attaching.keys, attaching.forms]
    if is_filled or not attaches(parts.document):
        rules += _RULES_OF_NAMES
    for rule in rules:
        yield from rule(parts)
