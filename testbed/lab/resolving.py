"""The plan of a topology, also of one that names what runs already."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import plan
from testbed import runtime as runtimes
from testbed.plan import placement

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

    Of compose files, addresses are only places for those that the Docker Engine chooses when the lab comes up.

    Raises:
        TopologyError: what it names is not there, or can't be attached.
        MachineError: no Docker Engine answers, only root can enter what it names, or another runtime is asked for;
            those of `testbed.plan.resolve`.
    """
    if not topology.lacks_discovery:
        return plan.resolve(topology, lab=lab, runtime=runtime, engine=engine, seed=seed)
    from testbed.topology import Present, attaching, discovered  # noqa: PLC0415  # only few files name what runs already

    asked, names = runtime or topology.runtime, attaching.namespaces(topology.document)
    runtime = (NAMESPACES if names else CONTAINERS) if asked == "auto" else asked
    runtime = placement.runtime(topology, runtime)
    found = runtimes.load(runtime).discover(names, topology.hosts) if topology.attaches_running else Present()
    if not (topology.compose and topology.compose.file):
        return plan.resolve(discovered(topology, found), lab=lab, runtime=runtime, engine=engine, seed=seed)
    project = topology.compose.from_files(topology.directory, lab or topology.name)
    expected = runtimes.load(runtime).expect(project, found)
    made = plan.resolve(discovered(topology, expected.present), lab=lab, runtime=runtime, engine=engine, seed=seed)
    return replace(made, project=project.name, services=expected.fingerprint, compose=project)
