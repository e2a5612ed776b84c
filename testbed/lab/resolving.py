"""The plan of a topology, also of one that names what runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import plan
from testbed import runtime as runtimes

if TYPE_CHECKING:
    from testbed.plan.model import Plan
    from testbed.topology import Topology

CONTAINERS, NAMESPACES = "docker", "netns"
"""The runtimes that have containers, and network namespaces, of others."""


def resolve(
    topology: Topology,
    *,
    lab: str | None = None,
    runtime: str | None = None,
    engine: str | None = None,
    seed: int | None = None,
) -> Plan:
    """Return the plan of a topology; see `testbed.plan.resolve`. What runs already is discovered, if it names any.

    Raises:
        TopologyError: what it names is not there, or can't be attached.
        MachineError: no Docker Engine answers, only root can enter what it names, or another runtime is asked for;
            those of `testbed.plan.resolve`.
    """
    if topology.lacks_discovery:
        from testbed.topology import attaching, discovered  # noqa: PLC0415  # only few files name what runs already

        asked, names = runtime or topology.runtime, attaching.namespaces(topology.document)
        runtime = (NAMESPACES if names else CONTAINERS) if asked == "auto" else asked
        topology = discovered(topology, runtimes.load(runtime).discover(names))
    return plan.resolve(topology, lab=lab, runtime=runtime, engine=engine, seed=seed)
