"""The agents of a lab's machines while it comes up: started, told of nodes elsewhere, made known to each other."""

from __future__ import annotations

import secrets
from concurrent.futures import Future
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.runtime.docker import agents, discovery, objects, overlays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.runtime.swarm.machines import Machine, Machines

_KEY_BYTES = 32


def identities(machines: Machines, plan: Plan, machine: Machine) -> Mapping[str, messages.ContainerIdentity]:
    """Return what tells the containers of a machine's nodes: their names.

    Of a service's further containers the other machines would not know, so that what joins a service is no node here.

    Raises:
        LabError: `container-changed`: one that ran before is not as the plan says; `port-in-use`: by another lab.
    """
    part = machines.part(plan, machine)
    if any(node.container for node in part.nodes):
        discovery.require_free(part, machine.runtime.other_plans(plan.lab))
        discovery.identities(part, discovery.discover(machine.engine, discovery.OVERLAY))
    return {
        node.name: messages.ContainerIdentity(name=node.container or objects.container_name(plan.lab, node.name))
        for node in part.nodes
    }


def start_agent(machines: Machines, plan: Plan, machine: Machine) -> Future[Agent]:
    """Start the agent of a machine, and tell it of the nodes on others; a future, because starters take one."""
    own = machines.nodes_of(machine)
    joined = {each.network: None for node in plan.nodes if node.name in own for each in node.interfaces}
    overlaid = [network for network in plan.networks if network.name in joined and not network.wire]
    known = [network.present or objects.network_name(plan.lab, network.name) for network in overlaid]
    sandboxes = overlays.anchor(machine.engine, plan.lab, known) if known else ""
    limits = bool(plan.limited & own)
    agent = agents.start(machine.engine, plan.lab, limits_nodes=limits, sandboxes=sandboxes)
    distant = tuple(
        messages.DistantNode(
            name=node.name,
            interfaces=tuple(
                messages.PresentInterface(
                    network=each.network, mac=each.mac, address=each.address, address6=each.address6
                )
                for each in node.interfaces
                if each.network in joined
            ),
        )
        for node in plan.nodes
        if node.name not in own
    )
    agent.call(messages.Adopt(networks=(), nodes=(), distant=distant))
    started: Future[Agent] = Future()
    started.set_result(agent)
    return started


def introduce(machines: Machines, plan: Plan) -> None:
    """Have the agents tell each other of what containers of others become, whose addresses are not the lab's to give.

    Raises:
        LabError: `agents-apart`.
    """
    present = {network.name: network.present for network in plan.networks if network.present}
    if not present:
        return
    anchors = machines.each(lambda machine: overlays.anchored(machine.engine, plan.lab))
    key = secrets.token_hex(_KEY_BYTES)

    def meet(machine: Machine) -> None:
        sandbox, own = anchors[machine.name]
        peers = {
            name: {
                other: found.addresses[present[name]]
                for other, found in anchors.items()
                if other != machine.name and present[name] in found.addresses
            }
            for name in present
            if present[name] in own
        }
        anchor = f"{agents.SANDBOXES}/{sandbox}"
        machine.runtime.connect(plan.lab).call(messages.Meet(machine=machine.name, anchor=anchor, key=key, peers=peers))

    machines.each(meet)
