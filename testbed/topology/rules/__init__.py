"""Rules between the parts of a file, one module per subject.

Rules work on the parts that can be read, so that a fault in one part does not hide those in others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.topology.rules import addressing, links, references, services, timeline, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.base import Fault
    from testbed.topology.rules.parts import Parts

_RULES = (
    references.attachments,
    references.captures,
    references.sockets,
    addressing.subnets,
    services.dependencies,
    services.ports,
    services.mounts,
    links.links,
    workloads.workloads,
    workloads.expectations,
    timeline.events,
)


def broken_rules(parts: Parts) -> Iterator[Fault]:
    """Yield the faults that the rules find in a file."""
    for rule in _RULES:
        yield from rule(parts)
