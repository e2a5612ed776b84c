"""A lab that lasts as long as the command that attaches it: a sidecar in a compose project.

The agent holds a connection to the command, so that links are as before however the command ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from testbed import interruption
from testbed import runtime as runtimes
from testbed import topology as topologies
from testbed.agent import messages
from testbed.errors import LabError
from testbed.lab import labs
from testbed.lab.lab import Lab
from testbed.lab.resolving import resolve
from testbed.topology import TopologyError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.agent.client_connection import ClientConnection
    from testbed.lab.observer import Observer
    from testbed.plan.model import Plan
    from testbed.topology import Topology

_POLL_SECONDS = 0.5

_CHANGING = ("container-changed", "node-exited", "node-gone")
"""Errors of containers that are starting, or being made anew, at that moment."""

Say = Callable[[str], None]


def attachable(path: Path, project: str | None) -> Topology:
    """Return the topology of a file; one that names no compose project is of `project`, or of the caller's own.

    Args:
        path: the file.
        project: name of a compose project; None is that of the container in which the caller runs, unless the file
            names containers itself.

    Raises:
        TopologyError: the file is wrong.
        UsageError: `no-project`, the caller is in no container of a compose project.
    """
    if topologies.names_project(path) or (project is None and topologies.names_running(path)):
        return topologies.load(path)
    project = project or runtimes.load("docker").own_project()
    (setting,) = topologies.parse_factor(f"compose={{project: {project}}}").levels
    return topologies.load(path, [setting])


def attach_when_there(
    topology: Topology, name: str, engine: str | None, observer: Observer, say: Say
) -> tuple[Lab, ClientConnection]:
    """Attach to the containers that a topology names, as soon as all run; what is left of a killed sidecar goes first.

    For the caller's `interruption.deferred()`: once the lab is up, a signal does not interrupt.

    Returns:
        The lab, and the connection with which it ends.

    Raises:
        LabError: `lab-exists`: a lab of that name is up.
    """
    with interruption.delivered():
        statuses = labs.all_labs()
    for status in statuses:
        if status.lab == name and status.healthy:
            raise LabError("lab-exists", f"a lab {name} is up already", f"testbed detach {name}, or --name")
        if status.lab == name:
            labs.take_down(name)
    said = ""
    while True:
        try:
            with interruption.delivered():
                plan = _plan(topology, name, engine)
            lab = Lab.up(plan, observer=observer)
        except TopologyError as error:
            waiting = "; ".join(problem.message for problem in error.problems)
        except LabError as error:
            if error.code not in _CHANGING:
                raise
            waiting = error.message
        else:
            return lab, lab.agent.begin(messages.Stay())
        with interruption.delivered():
            if waiting != said:
                say(f"waiting  {waiting}")
                said = waiting
            time.sleep(_POLL_SECONDS)


def _plan(topology: Topology, name: str, engine: str | None) -> Plan:
    return resolve(topology, lab=name, runtime="docker", engine=engine)


def follow(lab: Lab, say: Say) -> None:
    """Report what happens to a lab, until it breaks.

    Raises:
        LabError: `agent-gone`.
    """
    told = 0
    problems: tuple[str, ...] = ()
    while True:
        report = lab.agent.call(messages.ReadAttachments(settled=False))
        for incident in report.incidents:
            if incident.number > told:
                say(f"links    {incident.what}")
                told = incident.number
        if report.problems != problems:
            problems = report.problems
            for problem in problems or ("all links work",):
                say(f"links    {problem}")
        time.sleep(_POLL_SECONDS)
