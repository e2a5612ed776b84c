"""The state of a lab on several machines, for `testbed ps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.plan.placement import SWARM
from testbed.runtime import LabStatus

if TYPE_CHECKING:
    from testbed.runtime.swarm.machines import Machine, Machines


def status_of(machines: Machines, lab: str) -> LabStatus:
    """Return the state of a lab; that of nodes on a machine that does not answer is `unknown`."""

    def status(machine: Machine) -> LabStatus:
        try:
            with machine.answering():
                return machine.runtime.status(lab)
        except TestbedError as error:
            nodes = dict.fromkeys(sorted(machines.nodes_of(machine)), "unknown")
            return LabStatus(lab=lab, runtime=SWARM, nodes=nodes, healthy=False, problem=error.message)

    found = machines.each(status)
    order = [*machines.record.nodes]
    nodes = {name: now for each in found.values() for name, now in each.nodes.items()}
    problems = [
        each.problem if name in each.problem else f"machine {name}: {each.problem}"
        for name, each in found.items()
        if each.problem
    ]
    return LabStatus(
        lab=lab,
        runtime=SWARM,
        nodes=dict(sorted(nodes.items(), key=lambda item: order.index(item[0]))),
        healthy=all(each.healthy for each in found.values()),
        problem="; ".join(problems),
        notes=(
            *(note for each in found.values() for note in each.notes),
            "; ".join(f"{', '.join(sorted(machines.nodes_of(each)))} on {each}" for each in machines.used),
        ),
    )
