"""The nodes and networks of a plan: with every address and MAC chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from testbed import codec
from testbed.decisive import ADDED, ADDED_ADDRESS, ADDRESS, NOT_DECISIVE
from testbed.families import FAMILIES, IPV4, Subnet
from testbed.plan.frozen import freeze
from testbed.plan.routes import Route, Router
from testbed.services import Ready, Service

_ADDRESS_OF_IPV6 = {**ADDED_ADDRESS, **codec.OMIT_DEFAULT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One L2 segment.

    Attributes:
        name: as in the file.
        subnet: of IPv4, in CIDR form, `198.18.7.0/24`; empty where it has IPv6 only.
        gateway: the address that a Docker network keeps for the machine; no node has it. Empty for a wire.
        allocated: the subnet was chosen here and may be another next time; else the file gave it.
        internal: traffic does not leave the machine.
        mtu: bytes of an IP packet.
        present: name of the Docker network, bridge or cable that it is, which was there before the lab; empty where the
            lab makes it.
        wire: it is a cable between two nodes, made by the agent.
        subnet6, gateway6, allocated6: as `subnet`, `gateway` and `allocated`, of IPv6.
    """

    name: str
    subnet: str = field(metadata=ADDRESS)
    gateway: str = field(metadata=ADDRESS)
    allocated: bool
    internal: bool
    mtu: int
    present: str = field(default="", metadata=ADDED)
    wire: bool = field(default=False, metadata=ADDED)
    subnet6: str = field(default="", metadata=_ADDRESS_OF_IPV6)
    gateway6: str = field(default="", metadata=_ADDRESS_OF_IPV6)
    allocated6: bool = field(default=False, metadata={**ADDED, **codec.OMIT_DEFAULT})

    @property
    def subnets(self) -> Mapping[int, Subnet]:
        """Its subnets by family."""
        found = {family: self.subnet if family == IPV4 else self.subnet6 for family in FAMILIES}
        return {family: ip_network(subnet) for family, subnet in found.items() if subnet}

    def is_allocated(self, family: int) -> bool:
        """Whether the subnet of a family was chosen here."""
        return self.allocated if family == IPV4 else self.allocated6


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A node's attachment to a network. Its switch side is the port where traffic to the node is impaired.

    Attributes:
        network: the network's name.
        name: of the interface inside the node where we make it ourselves (`eth0`, `eth1`, ...).
        address: IPv4, without the prefix length; empty where the network has IPv6 only.
        prefix_length: bits of the network part.
        mac: the one that the file gives, or one derived from the address as Docker does (02:42 and the four bytes), so
            that it is the same everywhere.
        address6, prefix_length6: as `address` and `prefix_length`, of IPv6.
        given_mac: the one that the file gives; empty if it gives none.
        mtu: bytes of an IP packet, at most that of the network; 0 is the network's.
    """

    network: str
    name: str
    address: str = field(metadata=ADDRESS)
    prefix_length: int
    mac: str = field(metadata=NOT_DECISIVE)
    address6: str = field(default="", metadata=_ADDRESS_OF_IPV6)
    prefix_length6: int = field(default=0, metadata={**ADDED, **codec.OMIT_DEFAULT})
    given_mac: str = field(default="", metadata={**ADDED, **codec.OMIT_DEFAULT})
    mtu: int = field(default=0, metadata={**ADDED, **codec.OMIT_DEFAULT})

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, of IPv4 first."""
        return tuple(address for address in (self.address, self.address6) if address)

    @property
    def in_cidr_form(self) -> tuple[str, ...]:
        """Its addresses with the lengths of their prefixes, `198.18.7.2/24`."""
        found = (self.address, self.prefix_length), (self.address6, self.prefix_length6)
        return tuple(f"{address}/{bits}" for address, bits in found if address)

    def of_family(self, family: int) -> str:
        """Return its address of a family; empty where it has none."""
        return self.address if family == IPV4 else self.address6


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One container or namespace with a name.

    Attributes:
        image: Docker image; None is the testbed's own.
        command: what runs in the node; empty keeps the node idle (own image) or runs the image's own command.
        environment: variables of `command`.
        cpus_milli: CPU time in thousandths of a core; 0 is unlimited.
        memory_bytes: 0 is unlimited.
        sysctls: namespaced kernel settings, the plan's own defaults included (they decide results; machines differ).
        ready: None where a started node is a ready one.
        service: how it is made and started, beside that.
        container: name of the container that it is, which ran before the lab; empty where it is none.
        router: None where the node forwards nothing.
        routes: to networks that the node is not on, those of the file first.
        namespace: name, pid or path of the network namespace that it is, which was there before the lab; empty where it
            is none.
        may_fail: a run goes on when its program ends.
        host: the machine that it is on, one of the plan's hosts; empty where there is one machine. As the runtime, it
            decides nothing of what is done.
    """

    name: str
    interfaces: tuple[Interface, ...]
    image: str | None
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(hash=False)
    cpus_milli: int
    memory_bytes: int
    sysctls: Mapping[str, str] = field(hash=False)
    ready: Ready | None
    service: Service = field(default=Service(), metadata=ADDED)
    container: str = field(default="", metadata=ADDED)
    router: Router | None = field(default=None, metadata=ADDED)
    routes: tuple[Route, ...] = field(default=(), metadata=ADDED)
    namespace: str = field(default="", metadata=ADDED)
    may_fail: bool = field(default=False, metadata=ADDED)
    host: str = field(default="", metadata={**NOT_DECISIVE, **codec.OMIT_DEFAULT})

    def __post_init__(self) -> None:
        freeze(self, "environment", "sysctls")

    @property
    def is_present(self) -> bool:
        """Whether it was there before the lab."""
        return bool(self.container or self.namespace)

    @property
    def has_ipv6(self) -> bool:
        """Whether it has an IPv6 address of the plan's."""
        return any(interface.address6 for interface in self.interfaces)

    def on(self, network: str) -> Interface:
        """The node's interface on `network`; KeyError where it has none."""
        for interface in self.interfaces:
            if interface.network == network:
                return interface
        raise KeyError(network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One of several machines that nodes are on.

    Attributes:
        name: as in the file.
        address: of its Docker Engine, or the name of a Docker context.
    """

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A name that stands for several nodes.

    Attributes:
        nodes: the names of its members.
    """

    name: str
    nodes: tuple[str, ...]
