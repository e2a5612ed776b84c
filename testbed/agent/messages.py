"""What crosses the agent's socket, as declared types: calls with their results, events of calls, and what is told them.

`testbed.codec` brings them to JSON and back. Times are ns of CLOCK_MONOTONIC on the agent's machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from testbed.engines.counters import Counters
from testbed.impairments import Impairments

Result = TypeVar("Result")


class Call(Generic[Result]):
    """Base of calls. The fields are the arguments, the type parameter is the result's."""

    __slots__ = ()

    @classmethod
    def call_name(cls) -> str:
        """What the call is named in a message."""
        return cls.__name__.lower()

    @classmethod
    def result_type(cls) -> Any:  # noqa: ANN401  # any annotation
        """The type of the result."""
        (base,) = cls.__orig_bases__  # type: ignore[attr-defined]  # types.get_original_bases, from Python 3.12 on
        return get_args(base)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """Who answers, and what it holds.

    Attributes:
        version: of the protocol.
        lab: its name.
        pid: of the agent.
        plan: what `Remember` gave it, which it does not look into; None until the lab is up.
        dead_links: the links that pass nothing any more because what carried them has ended, and how that was.
        nodes: the state of each by its own command: `running`, `paused` or `exited STATUS`.
        pauses: how often the command of each node has been paused; of those that have one.
    """

    version: int
    lab: str
    pid: int
    plan: Mapping[str, object] | None
    dead_links: Mapping[str, str]
    nodes: Mapping[str, str]
    pauses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hello(Call[AgentStatus]):
    """Ask who answers."""


@dataclass(frozen=True, slots=True)
class Clock(Call[int]):
    """Read the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNetwork:
    """A network to make; `mtu` is bytes of an IP packet."""

    name: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInterface:
    """A node's interface to make on a network."""

    network: str
    name: str
    address: str
    prefix_length: int
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A node to make.

    Attributes:
        sysctls: settings of its network namespace.
        environment: variables of its commands, beside those of all nodes.
        directory: where its commands start.
        hosts: text of its /etc/hosts.
    """

    name: str
    sysctls: Mapping[str, str]
    environment: Mapping[str, str]
    directory: str
    hosts: str
    interfaces: tuple[NewInterface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Call[None]):
    """Make networks and nodes."""

    networks: tuple[NewNetwork, ...]
    nodes: tuple[NewNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentInterface:
    """An interface of a node that is there already."""

    network: str
    mac: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentNode:
    """A node that is there already.

    Attributes:
        container: its id.
        pid: of its first process, as seen from the agent.
        limited: CPU or memory limits hold for it.
    """

    name: str
    container: str
    pid: int
    limited: bool
    interfaces: tuple[PresentInterface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt(Call[None]):
    """Find the ports of nodes that are there already."""

    nodes: tuple[PresentNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch(Call[None]):
    """Start a node's own command, which runs as long as the lab."""

    node: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts(Call[bool]):
    """Ask whether a TCP port of a node accepts connections, tried from inside the node."""

    node: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that happened to a port or a node, the `number`-th since the agent began."""

    number: int
    at_ns: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentReport:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments(Call[AttachmentReport]):
    """Ask how nodes are attached; `settled`: wait a while until what has just happened is dealt with."""

    settled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnds:
    """What names a link: its ends and the network."""

    source: str
    destination: str
    network: str

    @property
    def ends(self) -> tuple[str, str, str]:
        """What tells links apart, see `testbed.plan.Link`."""
        return self.source, self.destination, self.network

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} on {self.network}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest(LinkEnds):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEngine:
    """The engine of a link, and why that one."""

    engine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Impair(Call[tuple[ChosenEngine, ...]]):
    """Give links their impairments, in place of those that they have; the result is in the same order."""

    links: tuple[LinkRequest, ...]


@dataclass(frozen=True, slots=True)
class Restart(Call[None]):
    """Have all links begin anew, as their seeds say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatistics(LinkEnds):
    """What became of the packets of a link, as its engine counts, and its impairments at that moment."""

    engine: str
    why: str
    impairments: Impairments
    counts: Counters

    __str__ = LinkEnds.__str__


@dataclass(frozen=True, slots=True)
class Statistics(Call[tuple[LinkStatistics, ...]]):
    """Ask what became of the packets of all links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConnection:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSockets:
    """The TCP connections of a node at a time."""

    at_ns: int
    connections: tuple[TcpConnection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets(Call[Mapping[str, NodeSockets]]):
    """Ask for the TCP connections of nodes; the result is by node."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remember(Call[None]):
    """Keep the plan for later commands: the lab is up, and no longer ends with the command that made it."""

    plan: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Shutdown(Call[None]):
    """End the agent, and with it all that it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange(LinkEnds):
    """Other impairments for a link that has some."""

    impairments: Impairments

    __str__ = LinkEnds.__str__


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """Changes of links at a time after time zero."""

    at_ns: int
    changes: tuple[LinkChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Call[None]):
    """Carry events out until anything is told, which is the end. Its events are `EventDone`.

    Attributes:
        start_ns: time zero; it may be in the future.
        events: in the order of their times.
        restored: the changes that undo all of them.
    """

    start_ns: int
    events: tuple[TimelineEvent, ...]
    restored: tuple[LinkChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDone:
    """The event of a timeline at that place has happened: between these times its links changed, one after another."""

    number: int
    begun_ns: int
    done_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: its exit status, negative for a signal."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn(Call[Exit]):
    """Start a command in a node. File descriptors that come along become its standard streams, in their order.

    Attributes:
        term: the first of them is a terminal of this kind (TERM) and becomes the controlling one.
    """

    node: str
    argv: tuple[str, ...]
    term: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Call[Exit]):
    """Start the endpoint program in a node; `spec` is for `testbed.endpoint.spec` to read."""

    node: str
    spec: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Call[Exit]):
    """Start a capture at a node's interface.

    Attributes:
        snap_bytes: what is kept of a packet.
        size_bytes: what the packets may take while they are captured; the newest are kept.
    """

    node: str
    network: str
    snap_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEvent:
    """What happens to a process: it has started, as `pid`, or wrote text to its stream `stdout` or `stderr`."""

    pid: int = 0
    stream: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """What a client tells a call under way.

    Attributes:
        start_ns: when an endpoint is to begin.
        eof: the process's standard input is to end.
        signal: the process and its group are to get it.
    """

    start_ns: int | None = None
    eof: bool = False
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """What the agent's `--probe` finds of an engine; `problem`, why it can't be used, is None where it can."""

    description: str
    problem: str | None
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSpec:
    """What a capturing process is to do; see `Capture`."""

    interface: str
    snap_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureBegun:
    """From now on no packet is missed unseen.

    Attributes:
        clock_offset_ns: how far the wall clock, which packets are stamped with, is ahead of CLOCK_MONOTONIC.
    """

    interface: str
    clock_offset_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureEnded:
    """What was captured: packets kept, dropped by the kernel, and overwritten by newer ones."""

    packets: int
    dropped: int
    overwritten: int
    cpu_ns: int
    clock_offset_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureData:
    """A piece of the pcap file."""

    base64: str
