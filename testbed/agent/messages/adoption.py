"""Networks and nodes that are there already, or will be: containers and namespaces that a lab takes over."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.creation import NewInterface, NewNetwork, NewRoute, PacketFilter


class PresentInterface(Payload, frozen=True, kw_only=True):
    """An interface of a node that is there already.

    Attributes:
        address: IPv4; empty where it is to have none.
        address6, prefix_length6: IPv6, which the agent gives it on the lab's own networks; empty where it has none.
        mtu: to give it, bytes of an IP packet; 0 leaves what it has.
    """

    network: str
    mac: str
    address: str
    address6: str = ""
    prefix_length6: int = 0
    mtu: int = 0


class AdoptedNetwork(Payload, frozen=True, kw_only=True):
    """A network that is there already.

    Attributes:
        open: it is not the lab's own, so packets between others pass untouched.
        internal: nothing leaves it.
        overlay: it is one of several machines, and its ports are in a network namespace of its own.
    """

    name: str
    open: bool
    internal: bool = False
    overlay: bool = False


class ContainerIdentity(Payload, frozen=True, kw_only=True):
    """What tells a container that was made anew from others.

    Attributes:
        name: of the container, which is enough.
        project, service: of compose, which are enough too, together with the number; empty where compose did not
            make the container.
        number: of the container among those of its service, from 1 on.
    """

    name: str
    project: str = ""
    service: str = ""
    number: int = 0


class PresentNode(Payload, frozen=True, kw_only=True):
    """A node that is there already.

    Attributes:
        container: its id; empty where it is none.
        pid: of its first process, as seen from the agent; 0 where it is no container.
        limited: CPU or memory limits hold for it.
        identity: which container takes its place when it has been removed; None where none does.
        namespace: path of its network namespace where it is no container.
        forwards: it is a router.
        wires: interfaces to make.
        routes: to networks that it is not on.
        packet_filter: what it does to packets that it forwards; None: nothing.
    """

    name: str
    container: str
    pid: int
    limited: bool
    interfaces: tuple[PresentInterface, ...]
    identity: ContainerIdentity | None
    namespace: str = ""
    forwards: bool = False
    wires: tuple[NewInterface, ...] = ()
    routes: tuple[NewRoute, ...] = ()
    packet_filter: PacketFilter | None = None


class DistantNode(Payload, frozen=True, kw_only=True):
    """A node on another machine, whose packets come in over an overlay network."""

    name: str
    interfaces: tuple[PresentInterface, ...]


class Adopt(Call[None], frozen=True, kw_only=True):
    """Find the ports of nodes that are there already, on networks that are there already, and make wires to them.

    Attributes:
        networks: those that are there.
        nodes: the nodes.
        wires: networks to make that are not there yet.
        distant: the nodes on other machines, which the agents there adopt.
    """

    networks: tuple[AdoptedNetwork, ...]
    nodes: tuple[PresentNode, ...]
    wires: tuple[NewNetwork, ...] = ()
    distant: tuple[DistantNode, ...] = ()


class Meet(Call[None], frozen=True, kw_only=True):
    """Tell the agents on other machines of the nodes here, and hear of theirs, as long as the lab is up.

    Attributes:
        machine: name of this one.
        anchor: path of the network namespace of the lab's anchor here, as seen from the agent.
        key: hexadecimal, with which the agents of the lab sign what they tell each other.
        peers: by network of others, the addresses of the anchors there, by machine.
    """

    machine: str
    anchor: str
    key: str
    peers: Mapping[str, Mapping[str, str]]


class WatchedNetwork(Payload, frozen=True, kw_only=True):
    """A network that is not the lab's own, before any node is seen there.

    Attributes:
        bridge: name of its device on the switch side.
        mtu: bytes of an IP packet.
    """

    name: str
    bridge: str
    mtu: int


class AwaitedNode(Payload, frozen=True, kw_only=True):
    """A container that was created and has not started.

    Attributes:
        addresses: by the name of each network that it will be on, the address that the plan has for it there. It may
            get another.
    """

    name: str
    identity: ContainerIdentity
    addresses: Mapping[str, str]


class Await(Call[None], frozen=True, kw_only=True):
    """Expect containers to start. Their links can be asked for at once, and work before their ports pass anything."""

    networks: tuple[WatchedNetwork, ...]
    nodes: tuple[AwaitedNode, ...]
