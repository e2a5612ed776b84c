"""The lab as it is now, in one answer."""

from __future__ import annotations

from testbed.agent.messages.attachments import AttachmentReport
from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.lab import AgentStatus
from testbed.agent.messages.links import LinkStatistics


class LabState(Payload, frozen=True, kw_only=True):
    """The state of nodes, links and attachments at `at_ns`, see `Hello`, `Statistics` and `ReadAttachments`."""

    at_ns: int
    status: AgentStatus
    links: tuple[LinkStatistics, ...]
    attachments: AttachmentReport


class ReadState(Call[LabState], frozen=True, kw_only=True):
    """Ask for all of it in one call, because each call costs a process if the agent is in a container."""
