"""Brings labs of network namespaces up. This imports plans, which commands about labs that are up do without."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.errors import LabError, MachineError, TestbedError, UsageError
from testbed.faults import Throttle
from testbed.linux import cgroups
from testbed.runtime import (
    failures,
    local_agent,
    netns_creation,
    netns_services,
    state,
    ways_out,
)
from testbed.runtime.readiness import Readiness, first_address
from testbed.runtime.start_order import start_in_order
from testbed.runtime.state import LabDirectory
from testbed.services import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Progress, Runtime
    from testbed.services import PublishedPort

_SETTLING_SECONDS = 0.1  # in which a command that can't do its work gives up


def require(plan: Plan) -> None:
    """Require that namespaces can do all that a plan asks for: they have no image and no limits of their own.

    Raises:
        MachineError: they can't.
    """
    for node in plan.nodes:
        if node.container:
            raise failures.only_docker(f"node {node.name} is container {node.container}")
        if node.namespace:
            from testbed.runtime import namespaces  # noqa: PLC0415  # few labs have namespaces of others

            namespaces.require_root()
    ways_out.require(plan)
    present = {node.name for node in plan.nodes if node.namespace}
    for fault in plan.faults:
        if isinstance(fault, Throttle):
            _require_limits(fault)
        if fault.node in present:
            message = f"the timeline has {fault}, and that node is a namespace that the lab did not make"
            raise MachineError("not-controlled", message, "leave the event out, or let the lab make the node")
    netns_services.require(plan)


def _require_limits(fault: Throttle) -> None:
    """Require that cgroups can limit the CPU time of nodes."""
    try:
        cgroups.place("cpu")
    except MachineError as error:
        raise MachineError(error.code, f"the timeline has {fault}, and {error.message}", error.hint) from None
    if fault.cpus_milli > (cores := os.cpu_count() or 1) * 1000:
        message = f"node {fault.node} asks for {fault.cpus_milli / 1000:g} CPUs of {cores}"
        raise MachineError("too-few-cpus", message, f"lower its cpus to {cores} or less")


def bring_up(plan: Plan, runtime: Runtime, progress: Progress) -> Plan:
    """Start the agent, which makes networks and nodes in its own namespaces, and start what runs in nodes."""
    require(plan)
    progress("agent")
    attaches = any(node.is_present for node in plan.nodes)
    leads_out = ways_out.leads_out(plan)
    ways_out.require_ports(plan, partial(_published, runtime.name))
    agent = local_agent.start(runtime.name, plan.lab, isolate=not attaches, leads_out=leads_out)
    progress("nodes")
    directory = LabDirectory(runtime.name, plan.lab)
    netns_services.make_clocks(plan, directory.path)
    agent.call(_adoption(plan) if attaches else netns_creation.creation(plan, directory.path))
    readiness = Readiness(runtime=runtime, lab=plan.lab, agent=agent, address=partial(first_address, plan))
    if signals := netns_services.stop_signals(plan):
        directory.stop_signals.write_text(json.dumps(dict(signals)), "ascii")

    def start(nodes: Sequence[Node]) -> Readiness:
        for node in nodes:
            if node.service.entrypoint or node.command:
                _launch(agent, node)
            elif node.service != Service():
                _try(runtime, plan.lab, node.name)
        return readiness

    try:
        start_in_order(plan, start, progress)
        if any(node.command for node in plan.nodes):
            time.sleep(_SETTLING_SECONDS)
    finally:
        runtime.require_running(plan.lab)  # a node that has ended is the cause of the failure
    return plan


def _adoption(plan: Plan) -> messages.Adopt:
    from testbed.runtime import namespaces  # noqa: PLC0415  # few labs have namespaces of others

    return namespaces.adoption(plan)


def _published(runtime: str) -> Iterator[tuple[str, PublishedPort]]:
    """Yield the ports that labs publish, each with the lab's name."""
    for lab in state.labs(runtime):
        with suppress(TestbedError):
            for publication in local_agent.status(runtime, lab).published:
                yield lab, publication.port


def _try(runtime: Runtime, lab: str, node: str) -> None:
    """Try whether commands of a node can have what the file gives them: its user, mounts, limits and directory."""
    done = runtime.run(lab, node, ["true"])
    if done.status:
        raise LabError("not-in-node", f"node {node}: no command can be started there: {done.stderr.strip()}")


def _launch(agent: Agent, node: Node) -> None:
    try:
        argv = (*node.service.entrypoint, *node.command)
        agent.call(messages.Launch(node=node.name, argv=argv, stop_signal=netns_services.stop_signal(node)))
    except UsageError as error:
        raise LabError(
            error.code,
            f"node {node.name}: {error.message}",
            "install the command on this machine, or use runtime docker",
        ) from None
