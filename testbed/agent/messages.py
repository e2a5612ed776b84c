"""The messages on the agent's socket as declared types: calls, results, events, and what clients send meanwhile.

`testbed.codec` brings them to JSON and back. Times are ns of CLOCK_MONOTONIC on the agent's machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_args

import msgspec

from testbed.endpoint.spec import Spec
from testbed.engines.counters import Counters
from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match
from testbed.services import Tmpfs, Ulimit, Volume

Result = TypeVar("Result")


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what crosses the socket. No dataclasses: making forty of those takes every command 10 ms."""


class Call(_Message, Generic[Result], frozen=True):
    """Base of calls. The fields are the arguments, the type parameter is the result's."""

    @classmethod
    def call_name(cls) -> str:
        """What the call is named in a message."""
        return cls.__name__.lower()

    @classmethod
    def result_type(cls) -> Any:  # noqa: ANN401  # any annotation
        """The type of the result."""
        (base,) = cls.__orig_bases__  # type: ignore[attr-defined]  # types.get_original_bases, from Python 3.12 on
        return get_args(base)[0]


class AgentStatus(_Message, frozen=True, kw_only=True):
    """Who answers, and what it holds.

    Attributes:
        version: of the protocol.
        lab: its name.
        pid: of the agent.
        plan: what `Remember` gave it, which it does not look into; None until the lab is up.
        dead_links: the links that pass nothing any more because what carried them has ended, and how that was.
        nodes: the state of each by its own command: `running`, `paused` or `exited STATUS`; `gone` is a network
            namespace of somebody else's that is there no more.
        pauses: how often the command of each node has been paused; of those that have one.
        members: the nodes that are not what was adopted, because their containers were made anew or came later.
        left: the nodes that are there no more, because their service has fewer containers.
    """

    version: int
    lab: str
    pid: int
    plan: Mapping[str, object] | None
    dead_links: Mapping[str, str]
    nodes: Mapping[str, str]
    pauses: Mapping[str, int]
    members: tuple[Member, ...]
    left: tuple[str, ...]


class Hello(Call[AgentStatus], frozen=True, kw_only=True):
    """Ask who answers."""


class Clock(Call[int], frozen=True, kw_only=True):
    """Read the monotonic clock."""


class NewNetwork(_Message, frozen=True, kw_only=True):
    """A network to make; `mtu` is bytes of an IP packet."""

    name: str
    mtu: int


class NewInterface(_Message, frozen=True, kw_only=True):
    """A node's interface to make on a network."""

    network: str
    name: str
    address: str
    prefix_length: int
    mac: str


class NewRoute(_Message, frozen=True, kw_only=True):
    """A route to install: a subnet in CIDR form or `default`, and the address of the next hop."""

    to: str
    via: str


class NewNat(_Message, frozen=True, kw_only=True):
    """Address translation between networks of a node; see `testbed.plan.routes.Nat`."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    kind: str
    timeout_ns: int
    hairpin: bool


class NewFirewall(_Message, frozen=True, kw_only=True):
    """A firewall between networks of a node; see `testbed.plan.routes.Firewall`."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    policy: str
    icmp: str


class PacketFilter(_Message, frozen=True, kw_only=True):
    """What a router does to packets beside forwarding them."""

    nat: NewNat | None = None
    firewall: NewFirewall | None = None


class Surroundings(_Message, frozen=True, kw_only=True):
    """What the processes of a node have beside its network.

    Attributes:
        hostname: empty is the node's name.
        resolver: text of its /etc/resolv.conf; empty leaves the machine's.
        volumes: files and directories of this machine that it sees elsewhere; sources are absolute.
        tmpfs: directories in memory.
        user: ids of the user, the group and further groups of its commands; None is those of the agent.
        limits: of its commands.
    """

    hostname: str = ""
    resolver: str = ""
    volumes: tuple[Volume, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    user: tuple[int, int, tuple[int, ...]] | None = None
    limits: tuple[Ulimit, ...] = ()


class NewNode(_Message, frozen=True, kw_only=True):
    """A node to make.

    Attributes:
        sysctls: settings of its network namespace.
        environment: variables of its commands, beside those of all nodes.
        directory: where its commands start.
        hosts: text of its /etc/hosts.
        routes: to networks that it is not on.
        packet_filter: what it does to packets that it forwards; None: nothing.
        surroundings: what else its commands have.
    """

    name: str
    sysctls: Mapping[str, str]
    environment: Mapping[str, str]
    directory: str
    hosts: str
    interfaces: tuple[NewInterface, ...]
    routes: tuple[NewRoute, ...] = ()
    packet_filter: PacketFilter | None = None
    surroundings: Surroundings = Surroundings()


class Create(Call[None], frozen=True, kw_only=True):
    """Make networks and nodes."""

    networks: tuple[NewNetwork, ...]
    nodes: tuple[NewNode, ...]


class PresentInterface(_Message, frozen=True, kw_only=True):
    """An interface of a node that is there already."""

    network: str
    mac: str
    address: str


class PresentNetwork(_Message, frozen=True, kw_only=True):
    """A network that is there already.

    Attributes:
        open: it is not the lab's own, so packets between others pass untouched.
    """

    name: str
    open: bool


class ContainerIdentity(_Message, frozen=True, kw_only=True):
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


class PresentNode(_Message, frozen=True, kw_only=True):
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


class Adopt(Call[None], frozen=True, kw_only=True):
    """Find the ports of nodes that are there already, on networks that are there already, and make wires to them.

    Attributes:
        networks: those that are there.
        nodes: the nodes.
        wires: networks to make that are not there yet.
    """

    networks: tuple[PresentNetwork, ...]
    nodes: tuple[PresentNode, ...]
    wires: tuple[NewNetwork, ...] = ()


class WatchedNetwork(_Message, frozen=True, kw_only=True):
    """A network that is not the lab's own, before any node is seen there.

    Attributes:
        bridge: name of its device on the switch side.
        mtu: bytes of an IP packet.
    """

    name: str
    bridge: str
    mtu: int


class AwaitedNode(_Message, frozen=True, kw_only=True):
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


class Launch(Call[None], frozen=True, kw_only=True):
    """Start a node's own command, which runs as long as the lab."""

    node: str
    argv: tuple[str, ...]


class Accepts(Call[bool], frozen=True, kw_only=True):
    """Ask whether a TCP port of a node accepts connections, tried from inside the node."""

    node: str
    address: str
    port: int


class FoundAddress(_Message, frozen=True, kw_only=True):
    """An IPv4 address of a node's interface, which is not the loopback; `mtu` is bytes of an IP packet."""

    interface: str
    address: str
    prefix_length: int
    mtu: int


class FoundNamespace(_Message, frozen=True, kw_only=True):
    """What is in a node's network namespace; `number` is its inode, which tells it from others."""

    number: int
    addresses: tuple[FoundAddress, ...]


class Look(Call[FoundNamespace], frozen=True, kw_only=True):
    """Ask which addresses a node has."""

    node: str


class Reaches(Call[bool], frozen=True, kw_only=True):
    """Ask whether packets of a node reach an address and come back, tried from inside the node."""

    node: str
    address: str


class HttpStatus(Call[int], frozen=True, kw_only=True):
    """Ask with which status an HTTP server of a node answers a GET, tried from inside the node; 0 if it does not."""

    node: str
    address: str
    port: int
    path: str


class StopCommands(Call[None], frozen=True, kw_only=True):
    """Send the own commands of nodes a signal each, by node, and wait a while until they have ended."""

    signals: Mapping[str, int]


class Incident(_Message, frozen=True, kw_only=True):
    """Something that happened to a port or a node, the `number`-th since the agent began."""

    number: int
    at_ns: int
    what: str


class AttachmentReport(_Message, frozen=True, kw_only=True):
    """How nodes are attached to their networks, and what happened to that.

    Attributes:
        problems: what keeps the lab from doing what the file says; sentences.
        notes: what else there is to say; sentences.
        incidents: the latest ones.
        unknown_dropped: by port, packets that were dropped because their source MAC is no node's.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    incidents: tuple[Incident, ...]
    unknown_dropped: Mapping[str, int]


class Attachments(Call[AttachmentReport], frozen=True, kw_only=True):
    """Ask how nodes are attached; `settled`: wait a while until what has just happened is dealt with."""

    settled: bool = True


class LinkEnds(_Message, frozen=True, kw_only=True):
    """What names a link: its ends, the network, and the packets that it is for."""

    source: str
    destination: str
    network: str
    match: Match | None = None

    @property
    def key(self) -> LinkKey:
        """What tells links apart, see `testbed.plan.Link`."""
        return LinkKey(self.source, self.destination, self.network, self.match)

    def __str__(self) -> str:
        return str(self.key)


class LinkRequest(LinkEnds, frozen=True, kw_only=True):
    """A link that is to have impairments.

    Attributes:
        addresses: of both nodes, by their names.
        impairments: what it does to packets from now on.
        later: those that a run gives it.
        seed: of all that is random.
        engine: `auto`, or an engine's name.
        repeatable: the seed was asked for.
    """

    addresses: Mapping[str, str]
    impairments: Impairments
    later: tuple[Impairments, ...]
    seed: int
    engine: str
    repeatable: bool

    __str__ = LinkEnds.__str__


class Member(_Message, frozen=True, kw_only=True):
    """A node whose container was made anew, or came later as one more of its service.

    Attributes:
        like: the node of the plan that it is, or that it is one more of.
        container: its name.
        links: those from and to it, of a node that came later.
    """

    name: str
    like: str
    container: str
    interfaces: tuple[PresentInterface, ...]
    links: tuple[LinkRequest, ...]


class ChosenEngine(_Message, frozen=True, kw_only=True):
    """The engine of a link, and why that one."""

    engine: str
    why: str


class Impair(Call[tuple[ChosenEngine, ...]], frozen=True, kw_only=True):
    """Give links their impairments, in place of those that they have; the result is in the same order."""

    links: tuple[LinkRequest, ...]


class Restart(Call[None], frozen=True, kw_only=True):
    """Have all links begin anew, as their seeds say.

    Attributes:
        origin_ns: time zero of their traces, ns of CLOCK_MONOTONIC, which may be in the future; None is now.
    """

    origin_ns: int | None = None


class LinkStatistics(LinkEnds, frozen=True, kw_only=True):
    """What became of the packets of a link, as its engine counts, and its impairments at that moment."""

    engine: str
    why: str
    impairments: Impairments
    counts: Counters

    __str__ = LinkEnds.__str__


class Statistics(Call[tuple[LinkStatistics, ...]], frozen=True, kw_only=True):
    """Ask what became of the packets of all links."""


class TcpConnection(_Message, frozen=True, kw_only=True):
    """A TCP connection of a node.

    Attributes:
        local, peer: `198.18.0.2:80`.
        state: its name.
        congestion: the name of its congestion control.
        pid, process: of one that has it open; None where that is not known.
        info: see `testbed.linux.tcp_info`.
    """

    local: str
    peer: str
    state: str
    congestion: str
    receive_queue_bytes: int
    send_queue_bytes: int
    receive_buffer_bytes: int
    send_buffer_bytes: int
    drops: int
    info: Mapping[str, int]
    pid: int | None = None
    process: str | None = None


class NodeSockets(_Message, frozen=True, kw_only=True):
    """The TCP connections of a node at a time."""

    at_ns: int
    connections: tuple[TcpConnection, ...]


class Sockets(Call[Mapping[str, NodeSockets]], frozen=True, kw_only=True):
    """Ask for the TCP connections of nodes; the result is by node."""

    nodes: tuple[str, ...]


class NatObservation(_Message, frozen=True, kw_only=True):
    """How a NAT treated datagrams.

    Attributes:
        mapped: the ports outside of one socket inside, towards two ports of an address and two ports of another.
        lets_in_addresses: a datagram reached a socket from an address that it had not sent to.
        lets_in_ports: one did from another port of an address that it had sent to.
        hairpins: two sockets inside reached each other by their endpoints outside.
        lasts: whether a mapping was there after 3/4 of its timeout, and after 5/4 and a second; None if not asked for.
    """

    mapped: tuple[int, ...]
    lets_in_addresses: bool
    lets_in_ports: bool
    hairpins: bool
    lasts: tuple[bool, bool] | None


class ProbeNat(Call[NatObservation], frozen=True, kw_only=True):
    """Find out how the NAT of a node behaves between two of its networks.

    Attributes:
        inside_addresses: two that nobody has, to send from inside.
        outside_addresses: two more, outside.
        timeout_ns: find out whether mappings last so long, which takes longer; 0: do not.
    """

    node: str
    inside: str
    outside: str
    inside_addresses: tuple[str, str]
    outside_addresses: tuple[str, str]
    timeout_ns: int = 0


class Remember(Call[None], frozen=True, kw_only=True):
    """Keep the plan for later commands: the lab is up, and no longer ends with the command that made it."""

    plan: Mapping[str, object] | None


class Shutdown(Call[None], frozen=True, kw_only=True):
    """End the agent, and with it all that it holds."""


class LinkChange(LinkEnds, frozen=True, kw_only=True):
    """Other impairments for a link that has some."""

    impairments: Impairments

    __str__ = LinkEnds.__str__


class Stay(Call[None], frozen=True, kw_only=True):
    """End the agent, which puts everything back, as soon as the client disconnects or sends anything."""


class TimelineEvent(_Message, frozen=True, kw_only=True):
    """Changes of links at a time after time zero; `rebinds` are nodes whose NATs forget their mappings."""

    at_ns: int
    changes: tuple[LinkChange, ...]
    rebinds: tuple[str, ...] = ()


class Timeline(Call[None], frozen=True, kw_only=True):
    """Carry events out until the client sends anything, which ends the call. Its events are `EventDone`.

    Attributes:
        start_ns: time zero; it may be in the future.
        events: in the order of their times.
        restored: the changes that undo all of them.
    """

    start_ns: int
    events: tuple[TimelineEvent, ...]
    restored: tuple[LinkChange, ...]


class EventDone(_Message, frozen=True, kw_only=True):
    """The event of a timeline at that place has happened: between these times its links changed, one after another."""

    number: int
    begun_ns: int
    done_ns: int


class Exit(_Message, frozen=True, kw_only=True):
    """How a process ended: its exit status, negative for a signal."""

    status: int


class Spawn(Call[Exit], frozen=True, kw_only=True):
    """Start a command in a node. File descriptors that come along become its standard streams, in their order.

    Attributes:
        term: the first of them is a terminal of this kind (TERM) and becomes the controlling one.
    """

    node: str
    argv: tuple[str, ...]
    term: str | None = None


class Endpoint(Call[Exit], frozen=True, kw_only=True):
    """Start the endpoint program in a node."""

    node: str
    spec: Spec


class Capture(Call[Exit], frozen=True, kw_only=True):
    """Start a capture at a node's interface.

    Attributes:
        snap_bytes: what is kept of a packet.
        size_bytes: what the packets may take while they are captured; the newest are kept.
    """

    node: str
    network: str
    snap_bytes: int
    size_bytes: int


class ProcessEvent(_Message, frozen=True, kw_only=True):
    """What happens to a process: it has started, as `pid`, or wrote text to its stream `stdout` or `stderr`."""

    pid: int = 0
    stream: str = ""
    text: str = ""


class Tell(_Message, frozen=True, kw_only=True):
    """What a client tells a call under way.

    Attributes:
        start_ns: when an endpoint is to begin.
        eof: the process's standard input is to end.
        signal: the process and its group are to get it.
    """

    start_ns: int | None = None
    eof: bool = False
    signal: int | None = None


class EngineReport(_Message, frozen=True, kw_only=True):
    """What the agent's `--probe` finds of an engine; `problem`, why it can't be used, is None where it can."""

    description: str
    problem: str | None
    hint: str | None


class CaptureSpec(_Message, frozen=True, kw_only=True):
    """What a capturing process is to do; see `Capture`."""

    interface: str
    snap_bytes: int
    size_bytes: int


class CaptureBegun(_Message, frozen=True, kw_only=True):
    """From now on no packet is missed unseen.

    Attributes:
        clock_offset_ns: how far the wall clock, which packets are stamped with, is ahead of CLOCK_MONOTONIC.
    """

    interface: str
    clock_offset_ns: int


class CaptureEnded(_Message, frozen=True, kw_only=True):
    """What was captured: packets kept, dropped by the kernel, and overwritten by newer ones."""

    packets: int
    dropped: int
    overwritten: int
    cpu_ns: int
    clock_offset_ns: int


class CaptureData(_Message, frozen=True, kw_only=True):
    """A piece of the pcap file."""

    base64: str
