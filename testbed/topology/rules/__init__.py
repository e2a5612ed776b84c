"""Rules between the parts of a file, one module per subject.

Rules work on the parts that can be read, so that a fault in one part does not hide those in others. Those about a
section whose models are made `OnDemand` are imported for files that have the section.
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
    references,
    routers,
    services,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.base import Fault
    from testbed.topology.rules.parts import Parts


def _links(parts: Parts) -> Iterator[Fault]:
    if parts.section("links"):
        from testbed.topology.rules import links  # noqa: PLC0415  # see above

        yield from links.links(parts)


def _workloads(parts: Parts) -> Iterator[Fault]:
    if parts.section("workloads"):
        from testbed.topology.rules import workloads  # noqa: PLC0415  # see above

        yield from workloads.workloads(parts)


def _expectations(parts: Parts) -> Iterator[Fault]:
    if parts.section("expect"):
        from testbed.topology.rules import workloads  # noqa: PLC0415  # see above

        yield from workloads.expectations(parts)


def _events(parts: Parts) -> Iterator[Fault]:
    if parts.section("timeline"):
        from testbed.topology.rules import timeline  # noqa: PLC0415  # see above

        yield from timeline.events(parts)


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
    _links,
    _workloads,
    _events,
)
"""Those about nodes and networks, all of which must be known."""


def broken_rules(parts: Parts, *, is_filled: bool = False) -> Iterator[Fault]:
    """Yield the faults that the rules find in a file.

    Args:
        parts: of the file.
        is_filled: whether what runs already was discovered and filled in.
    """
    rules = [attaching.nodes, _expectations]
    if not is_filled:
        rules += [attaching.keys, attaching.forms]
    if is_filled or not attaches(parts.document):
        rules += _RULES_OF_NAMES
    for rule in rules:
        yield from rule(parts)
