"""The addresses that NATs get by events of the timeline."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from testbed.errors import UsageError
from testbed.plan.events import NewAddress

if TYPE_CHECKING:
    from testbed.plan.addresses import Placed
    from testbed.topology.events import Rebind
    from testbed.topology.models import Topology


class Rebinding:
    """Chooses addresses for NATs: the last free ones of a subnet, each once.

    Args:
        topology: with the routers.
        placed: the IPv4 addresses of all nodes.
    """

    def __init__(self, topology: Topology, placed: Placed) -> None:
        self._topology = topology
        self._subnets = placed.subnets
        self._used = {address for on_network in placed.hosts.values() for address in on_network.values()}

    def addresses(self, event: Rebind) -> tuple[NewAddress, ...]:
        """Return the addresses that the NATs of an event get.

        Raises:
            UsageError: `no-free-address`.
        """
        return tuple(self._of(node, event) for node in self._topology.members(event.node))

    def _of(self, node: str, event: Rebind) -> NewAddress:
        router = self._topology.nodes[node].router
        inside = router.hidden if router else ()
        network = event.network or next(one for one in self._topology.attachments(node) if one not in inside)
        address = event.address if isinstance(event.address, IPv4Address) else self._unused(network, node)
        return NewAddress(node=node, network=network, address=str(address))

    def _unused(self, network: str, node: str) -> IPv4Address:
        subnet = self._subnets[network]
        for number in range(int(subnet[-1]) - 1, int(subnet[1]), -1):
            address = IPv4Address(number)
            if address not in self._used:
                self._used.add(address)
                return address
        message = f"{subnet} of {network} has no address left that the NAT of {node} could get"
        raise UsageError("no-free-address", message, "give the network a larger subnet")
