"""The way out of a lab of network namespaces: what it has in the machine's namespace, beside the agent's own.

    node -- port, bridge, port of the gateway == veth == the machine's interface -- routes, NAT -- beyond

The other end of the gateway's port is an interface of the machine, as Docker's bridges are: it has the network's first
address, and from there the machine forwards. The veth goes with the agent's namespace, so that nothing leads in or out
once the agent is dead. Everything else (the rules, the machine's forwarding) is written to the journal
before it is done.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from testbed.agent import device_requests, exit_rules, machine, nft, node_addresses, switch
from testbed.agent.forwarding import MachineForwarding
from testbed.agent.journal import OnMachine
from testbed.agent.netlink import RouteSocket
from testbed.agent.nodes import NodeNamespaces
from testbed.agent.ports import Gateway
from testbed.agent.tasks import cancelled
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces
from testbed.names import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.agent.journal import Journal
    from testbed.agent.link_devices import LinkDevices
    from testbed.agent.messages import NewGateway, NewNetwork, Publication
    from testbed.agent.wiring import Wiring

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(slots=True)
class WayOut:
    """What a lab has in the machine's namespace.

    Attributes:
        lab: its name.
        machine: file descriptor of the machine's namespace.
        wiring: of the lab.
        devices: makes devices on the lab's switch side.
        journal: where everything is written that has to be undone.
        published: the ports of nodes, each with the port of the machine that it has.
    """

    lab: str
    machine: int
    wiring: Wiring
    devices: LinkDevices
    journal: Journal
    published: tuple[Publication, ...] = ()
    _reserved: list[socket.socket] = field(default_factory=list)
    _watching: asyncio.Task[None] | None = None

    async def open(self, networks: Sequence[NewNetwork], publications: Sequence[Publication], name_server: str) -> None:
        """Connect networks that have a gateway with the machine, and publish ports.

        Args:
            networks: of the lab.
            publications: ports of nodes.
            name_server: see `exit_rules.rules`.

        Raises:
            MachineError: `no-way-out`, the agent has no power over the machine's namespace; `no-nft`.
            LabError: `port-in-use`, `wiring-failed`, `filter-refused`.
        """
        leading = [(network, network.gateway) for network in networks if network.gateway]
        if not leading:
            return
        self._require_power()
        self.published = tuple(self._reserve(each) for each in publications)
        cables = {network.name: self._cable(network) for network, _ in leading}
        interfaces = [gateway.interface for gateway in cables.values()]
        with self._alone():
            firewalls = exit_rules.firewalls()
            self.journal.write(
                OnMachine(
                    table=exit_rules.table(self.lab),
                    interfaces=tuple(interfaces),
                    firewalls=tuple(firewalls),
                )
            )
            lines = exit_rules.rules(
                self.lab,
                [(cables[network.name].interface, gateway) for network, gateway in leading],
                self.published,
                name_server=name_server,
            )
            nft.load(self.machine, lines, "a network leads out of the lab", _NEEDS)
            for firewall in firewalls:
                for interface in interfaces:
                    _pass(firewall, interface)
            forwarding = MachineForwarding(self.lab, self.machine, self.journal)
            forwarding.adapt()
        self._watching = asyncio.create_task(forwarding.watch())
        await self._switch_on(cables, leading)
        self.wiring.gateways.machine = NodeNamespaces(name=HOST, network=self.machine)
        self.wiring.gateways.by_network |= cables

    async def close(self) -> None:
        """Stop changing the machine; what the journal says is still to be undone."""
        if self._watching:
            await cancelled(self._watching)

    def _require_power(self) -> None:
        try:
            with namespaces.inside(self.machine):
                pass
        except OSError as error:
            message = f"the agent can't enter the machine's network namespace: {error.strerror}"
            hint = "run as root of the machine, or leave internal: false out"
            raise MachineError("no-way-out", message, hint) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Enter the machine's namespace, while no other lab changes what all of them share there."""
        with machine.exclusive(self.machine), namespaces.inside(self.machine):
            yield

    def _reserve(self, publication: Publication) -> Publication:
        """Keep a port of the machine from all others, and return the publication with its number.

        The socket only has the port: the rules give what arrives there to the node. Without them nothing answers.
        """
        port = publication.port
        with namespaces.inside(self.machine):
            reserved = socket.socket(socket.AF_INET, _KINDS[port.protocol])
        try:
            reserved.bind((port.host_address or "0.0.0.0", port.host_port))  # noqa: S104  # as the file says
        except OSError as error:
            reserved.close()
            code = "port-in-use" if error.errno == errno.EADDRINUSE else "port-refused"
            raise LabError(
                code,
                f"node {publication.node} publishes {port.protocol} port {port.host_port} of this machine: "
                f"{error.strerror}",
                f"publish another, or find out who has it: ss -tulnp sport = :{port.host_port}",
            ) from None
        self._reserved.append(reserved)
        return replace_port(publication, reserved.getsockname()[1])

    def _cable(self, network: NewNetwork) -> Gateway:
        """Connect the bridge of a network with the machine; both ends are down."""
        assert network.gateway  # noqa: S101  # the caller looked
        bridge = self.wiring.bridge(network.name)
        try:
            port, interface = self.devices.make_gateway(
                network.name, network.mtu, bridge, network.gateway.mac, self.machine
            )
        except OSError as error:
            raise LabError("wiring-failed", f"the gateway of {network.name}: {error.strerror}") from None
        return Gateway(
            network=network.name,
            index=port.index,
            bridge=bridge,
            mac=network.gateway.mac,
            interface=interface,
            address=network.gateway.address,
            mtu=network.mtu,
            is_port=True,
        )

    async def _switch_on(self, cables: Mapping[str, Gateway], leading: Sequence[tuple[NewNetwork, NewGateway]]) -> None:
        with namespaces.inside(self.machine):
            for cable in cables.values():
                # What the loopback sends to a published port goes to a node, and the answers come back there.
                machine.setting("ipv4", cable.interface, "route_localnet").write_text("1", "ascii")
                machine.setting("ipv4", cable.interface, "forwarding").write_text("1", "ascii")
                if (quiet := machine.setting("ipv6", cable.interface, "disable_ipv6")).exists():
                    quiet.write_text("1", "ascii")
        try:
            with namespaces.inside(self.machine), RouteSocket() as there:
                for network, gateway in leading:
                    index = switch.named(there, cables[network.name].interface).index
                    address = node_addresses.addition(index, gateway.address, gateway.prefix_length)
                    there.send([address, device_requests.state(index, is_up=True)])
        except OSError as error:
            raise LabError("wiring-failed", f"the kernel refused a gateway's address: {error}") from None
        self.devices.switch_on_at(cable.index for cable in cables.values())


_NEEDS = "a way out needs the kernel's nf_tables with nat, masquerade, ct and fib"


def replace_port(publication: Publication, number: int) -> Publication:
    """Return a publication with the port of the machine that it has got."""
    return msgspec.structs.replace(publication, port=replace(publication.port, host_port=number))


def _pass(firewall: str, interface: str) -> None:
    if not exit_rules.accept(firewall, interface):
        raise MachineError(
            "firewall-in-the-way",
            f"this machine's {firewall} may drop what leaves the lab, and takes no rule for {interface}",
            f"{firewall} -S FORWARD shows the rules; apt-get install iptables",
        )
