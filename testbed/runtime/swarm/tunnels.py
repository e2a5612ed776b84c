"""Wires between machines: each is a VXLAN between two of them, made by their agents.

It shares the UDP port of the Swarm's overlay networks, which is open between the machines already. The kernel tells
the VXLANs of a port by their numbers. The Docker Engine numbers those of overlay networks from 4096 on, one after the
other (`vxlanIDStart` of libnetwork's overlay driver); those of wires are in the upper half of all numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.messages import Tunnel
from testbed.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.plan.model import Plan
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


def _ends(machines: Machines, plan: Plan) -> Mapping[str, tuple[Machine, Machine]]:
    """Return the machines at the ends of each wire whose nodes are on different ones."""
    found: dict[str, list[Machine]] = {network.name: [] for network in plan.networks if network.wire}
    for node in plan.nodes:
        for interface in node.interfaces:
            if interface.network in found:
                found[interface.network].append(machines.of_node(node.name))
    return {wire: (one, other) for wire, (one, other) in found.items() if one is not other}
