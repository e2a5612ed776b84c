"""Wires between machines: each is a VXLAN between two of them, made by their agents.

It shares the UDP port of the Swarm's overlay networks, which is open between the machines already. The kernel tells
the VXLANs of a port by their numbers. The Docker Engine numbers those of overlay networks from 4096 on, one after the
other (`vxlanIDStart` of libnetwork's overlay driver); those of wires are in the upper half of all numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.messages import Distances, Tunnel
from testbed.errors import MachineError
from testbed.runtime.docker.overlays import VXLAN_BYTES
from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Network
    from testbed.runtime.swarm.machines import Machine, Machines

_FIRST = 1 << 23
"""Numbers have 24 bits (RFC 7348, section 5)."""


def tunnels(machines: Machines, plan: Plan) -> dict[str, dict[str, Tunnel]]:
    """Return what carries the wires between machines, by machine and wire.

    Raises:
        MachineError: `no-ipv4`; `no-swarm-manager`.
    """
    ends = _ends(machines, plan)
    port = machines.manager().data_port if ends else 0
    found: dict[str, dict[str, Tunnel]] = {}
    numbers: set[int] = set()
    for wire, (one, other) in ends.items():
        number = derive(0, f"tunnel {plan.lab} {wire}") % _FIRST
        while number in numbers:
            number = (number + 1) % _FIRST
        numbers.add(number)
        for here, there in ((one, other), (other, one)):
            tunnel = Tunnel(number=_FIRST + number, remote=there.ip, port=port)
            found.setdefault(here.name, {})[wire] = tunnel
    return found


def require_room(machines: Machines, plan: Plan, agent: Callable[[Machine], Agent]) -> None:
    """Require that packets of the lab's networks and wires between machines fit into one each, with VXLAN's headers.

    Larger ones would arrive in fragments, or not at all, without a word to the sender.

    Args:
        machines: of the lab.
        plan: the plan.
        agent: returns that of a machine.

    Raises:
        MachineError: `mtu-too-large`.
    """
    on = {network.name: _machines_on(machines, plan, network) for network in plan.networks if not network.present}

    def require(machine: Machine) -> None:
        others = {other.ip: other for each in on.values() if machine in each for other in each if other.knows_ipv4}
        found = agent(machine).call(Distances(addresses=tuple(others)))
        for address, distance in found.items():
            most = distance.mtu - VXLAN_BYTES
            for network in plan.networks:
                if {machine, others[address]} <= on.get(network.name, set()) and network.mtu > most:
                    kind = "wire" if network.wire else "network"
                    said = (
                        f"{kind} {network.name} is to carry packets of {network.mtu} bytes from {machine} to "
                        f"{others[address]}, but {distance.device} there carries {distance.mtu}, and a VXLAN {most}"
                    )
                    raise MachineError("mtu-too-large", said, f"give it mtu: {most}, or {distance.device} a larger MTU")

    machines.each(require)


def _machines_on(machines: Machines, plan: Plan, network: Network) -> set[Machine]:
    """Return the machines of the nodes on a network, if they are several."""
    nodes = (node.name for node in plan.nodes if any(at.network == network.name for at in node.interfaces))
    found = {machines.of_node(name) for name in nodes}
    return found if len(found) > 1 else set()


def _ends(machines: Machines, plan: Plan) -> Mapping[str, tuple[Machine, Machine]]:
    """Return the machines at the ends of each wire whose nodes are on different ones."""
    found = {network.name: _machines_on(machines, plan, network) for network in plan.networks if network.wire}
    return {wire: (one, other) for wire, ends in found.items() if ends for one, other in [sorted(ends, key=str)]}
