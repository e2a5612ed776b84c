"""Networks and nodes to make, with what routers do to packets."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.calls import Call, Payload
from testbed.services import PublishedPort, Tmpfs, Ulimit, Volume


class NewGateway(Payload, frozen=True, kw_only=True):
    """What this machine has on a network that leads out."""

    address: str
    prefix_length: int
    mac: str


class Tunnel(Payload, frozen=True, kw_only=True):
    """What carries a wire to the other machine: a VXLAN between the two (RFC 7348).

    Attributes:
        number: its VXLAN network identifier.
        remote: IPv4 address of the other machine.
        port: of UDP, on both.
    """

    number: int
    remote: str
    port: int


class NewNetwork(Payload, frozen=True, kw_only=True):
    """A network to make.

    Attributes:
        mtu: bytes of an IP packet.
        gateway: without one it does not lead out.
        tunnel: where it is a wire whose other end is on another machine.
    """

    name: str
    mtu: int
    gateway: NewGateway | None = None
    tunnel: Tunnel | None = None


class Publication(Payload, frozen=True, kw_only=True):
    """A port that this machine publishes for a node, with the node's address on a network that leads out."""

    node: str
    address: str
    port: PublishedPort


class NewInterface(Payload, frozen=True, kw_only=True):
    """A node's interface to make on a network; `mtu` is bytes of an IP packet, 0 that of the network.

    Addresses are empty where it has none of the family.
    """

    network: str
    name: str
    address: str
    prefix_length: int
    mac: str
    address6: str = ""
    prefix_length6: int = 0
    mtu: int = 0


class NewRoute(Payload, frozen=True, kw_only=True):
    """A route to install: a subnet in CIDR form or `default`, and the address of the next hop."""

    to: str
    via: str


class NewForward(Payload, frozen=True, kw_only=True):
    """A static mapping of a NAT; see `testbed.nat.Forward`. `address` is the node's."""

    port: int
    address: str
    node_port: int
    protocol: str


class NewNat(Payload, frozen=True, kw_only=True):
    """Address translation between networks of a node; see `testbed.plan.routes.Nat`."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    kind: str
    timeout_ns: int
    hairpin: bool
    forward: tuple[NewForward, ...] = ()


class NewFirewall(Payload, frozen=True, kw_only=True):
    """A firewall between networks of a node; see `testbed.plan.routes.Firewall`."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    policy: str
    icmp: str


class PacketFilter(Payload, frozen=True, kw_only=True):
    """What a router does to packets beside forwarding them."""

    nat: NewNat | None = None
    firewall: NewFirewall | None = None


class Surroundings(Payload, frozen=True, kw_only=True):
    """What the processes of a node have beside its network.

    Attributes:
        hostname: empty is the node's name.
        resolver: text of its /etc/resolv.conf; empty leaves the machine's.
        volumes: files and directories of this machine that it sees elsewhere; sources are absolute.
        tmpfs: directories in memory.
        user: ids of the user, the group and further groups of its commands; None is those of the agent.
        limits: of its commands.
        cpuset: the CPUs that its processes may use; empty is all.
        pids_limit: the most processes and threads that it may have at a time; 0 is unlimited.
        capabilities: that its commands can have.
        privileged: they see the machine's devices, and may change its settings.
        shm_bytes: size of /dev/shm; 0 is the kernel's default.
    """

    hostname: str = ""
    resolver: str = ""
    volumes: tuple[Volume, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    user: tuple[int, int, tuple[int, ...]] | None = None
    limits: tuple[Ulimit, ...] = ()
    capabilities: tuple[str, ...] = ()
    privileged: bool = False
    shm_bytes: int = 0
    cpuset: str = ""
    pids_limit: int = 0


class NewNode(Payload, frozen=True, kw_only=True):
    """A node to make.

    Attributes:
        sysctls: settings of its network namespace.
        environment: variables of its commands, beside those of all nodes.
        directory: where its commands start.
        hosts: text of its /etc/hosts, of which lines that other nodes have too follow.
        others: the number of those lines among `Create.others`; None: there are none.
        routes: to networks that it is not on.
        packet_filter: what it does to packets that it forwards; None: nothing.
        surroundings: what else its commands have.
    """

    name: str
    sysctls: Mapping[str, str]
    environment: Mapping[str, str]
    directory: str
    hosts: str
    others: int | None = None
    interfaces: tuple[NewInterface, ...]
    routes: tuple[NewRoute, ...] = ()
    packet_filter: PacketFilter | None = None
    surroundings: Surroundings = Surroundings()


class Create(Call[None], frozen=True, kw_only=True):
    """Make networks and nodes.

    Attributes:
        networks, nodes: to make.
        others: lines of /etc/hosts about all nodes, as some nodes see them.
        publications: ports of nodes that this machine publishes.
        name_server: a loopback address at which the machine's name server answers, and gateways do for it; else empty.
    """

    networks: tuple[NewNetwork, ...]
    nodes: tuple[NewNode, ...]
    others: tuple[str, ...] = ()
    publications: tuple[Publication, ...] = ()
    name_server: str = ""
