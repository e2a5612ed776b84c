"""The messages on the agent's socket as declared types: calls, results, events, and what clients send meanwhile.

`testbed.codec` brings them to JSON and back. Times are ns of CLOCK_MONOTONIC on the agent's machine.
"""

from testbed.agent.messages.adoption import (
    Adopt,
    Await,
    AwaitedNode,
    ContainerIdentity,
    PresentInterface,
    PresentNetwork,
    PresentNode,
    WatchedNetwork,
)
from testbed.agent.messages.attachments import AttachmentReport, Attachments, Incident, Member
from testbed.agent.messages.base import Call
from testbed.agent.messages.captures import Capture, CaptureBegun, CaptureData, CaptureEnded, CaptureSpec
from testbed.agent.messages.creation import (
    Create,
    NewFirewall,
    NewInterface,
    NewNat,
    NewNetwork,
    NewNode,
    NewRoute,
    PacketFilter,
    Surroundings,
)
from testbed.agent.messages.lab import AgentStatus, Clock, EngineReport, Hello, Remember, Shutdown, Stay
from testbed.agent.messages.links import (
    ChosenEngine,
    Impair,
    LinkChange,
    LinkEnds,
    LinkRequest,
    LinkStatistics,
    Restart,
    Statistics,
)
from testbed.agent.messages.probes import (
    Accepts,
    FoundAddress,
    FoundNamespace,
    HttpStatus,
    Look,
    NatObservation,
    ProbeNat,
    Reaches,
)
from testbed.agent.messages.processes import Endpoint, Exit, Launch, ProcessEvent, Spawn, StopCommands, Tell
from testbed.agent.messages.sockets import NodeSockets, Sockets, TcpConnection
from testbed.agent.messages.timeline import EventDone, Timeline, TimelineEvent

__all__ = [
    "Accepts",
    "Adopt",
    "AgentStatus",
    "AttachmentReport",
    "Attachments",
    "Await",
    "AwaitedNode",
    "Call",
    "Capture",
    "CaptureBegun",
    "CaptureData",
    "CaptureEnded",
    "CaptureSpec",
    "ChosenEngine",
    "Clock",
    "ContainerIdentity",
    "Create",
    "Endpoint",
    "EngineReport",
    "EventDone",
    "Exit",
    "FoundAddress",
    "FoundNamespace",
    "Hello",
    "HttpStatus",
    "Impair",
    "Incident",
    "Launch",
    "LinkChange",
    "LinkEnds",
    "LinkRequest",
    "LinkStatistics",
    "Look",
    "Member",
    "NatObservation",
    "NewFirewall",
    "NewInterface",
    "NewNat",
    "NewNetwork",
    "NewNode",
    "NewRoute",
    "NodeSockets",
    "PacketFilter",
    "PresentInterface",
    "PresentNetwork",
    "PresentNode",
    "ProbeNat",
    "ProcessEvent",
    "Reaches",
    "Remember",
    "Restart",
    "Shutdown",
    "Sockets",
    "Spawn",
    "Statistics",
    "Stay",
    "StopCommands",
    "Surroundings",
    "TcpConnection",
    "Tell",
    "Timeline",
    "TimelineEvent",
    "WatchedNetwork",
]
