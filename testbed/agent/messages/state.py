"""The lab as it is now, in one answer."""

from __future__ import annotations

from testbed.agent.messages.attachments import AttachmentReport
from testbed.agent.messages.base import Call, Payload
from testbed.agent.messages.lab import AgentStatus
from testbed.agent.messages.links import LinkStatistics


class LabState(Payload, frozen=True, kw_only=True):
    """The state of nodes, links and attachments, as `Hello`, `Statistics` and `Attachments` report them, at `at_ns`."""

    at_ns: int
    status: AgentStatus
    links: tuple[LinkStatistics, ...]
    attachments: AttachmentReport


class State(Call[LabState], frozen=True, kw_only=True):
    """Ask for all of it in one call, because each call costs a process if the agent is in a container."""
