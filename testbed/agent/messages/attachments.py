"""How nodes are attached to their networks, and what changed in that since the lab came up."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.adoption import PresentInterface
from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.links import LinkRequest


class Incident(Payload, frozen=True, kw_only=True):
    """Something that happened to a port or a node, the `number`-th since the agent began."""

    number: int
    at_ns: int
    what: str


class AttachmentReport(Payload, frozen=True, kw_only=True):
    """How nodes are attached to their networks, and what has changed in that.

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


class ReadAttachments(Call[AttachmentReport], frozen=True, kw_only=True):
    """Ask how nodes are attached; `settled`: wait a while until what has just happened is dealt with."""

    settled: bool = True


class Member(Payload, frozen=True, kw_only=True):
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
