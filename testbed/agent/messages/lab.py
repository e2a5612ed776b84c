"""Calls about the lab as a whole: its status, its plan, its end. And what an agent with `--probe` prints."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.agent.messages.attachments import Member
from testbed.agent.messages.calls import Call, Payload
from testbed.agent.messages.creation import Publication


class AgentStatus(Payload, frozen=True, kw_only=True):
    """The status of an agent: which one it is, and how its lab is.

    Attributes:
        version: of the protocol.
        lab: its name.
        pid: of the agent.
        plan_version: of the plan that `Remember` gave it, 0 if that does not say; None until the lab is up.
        containers: those that were there before the lab, by node, as `Remember` names them.
        dead_links: the links that pass nothing any more because what carried them has ended, and how that was.
        nodes: the state of each by its own command: `running`, `paused` or `exited STATUS`; of a container `exited`,
            or `awaited` before its first start; `gone` is a network namespace of somebody else's that is there no
            more; `paused` or `stopped` by a fault.
        pauses: how often the command of each node has been paused; of those that have one.
        members: the nodes that are not what was adopted, because their containers were made anew or came later.
        published: ports of nodes that this machine publishes, in runtime netns.
        left: the nodes that are there no more, because their service has fewer containers.
        held: the nodes that faults keep from running, each with how: `paused` or `stopped`.
        paused_by_faults: the nodes that faults have paused since the lab came up.
    """

    version: int
    lab: str
    pid: int
    plan_version: int | None
    containers: Mapping[str, str]
    dead_links: Mapping[str, str]
    nodes: Mapping[str, str]
    pauses: Mapping[str, int]
    members: tuple[Member, ...]
    left: tuple[str, ...]
    held: Mapping[str, str]
    paused_by_faults: tuple[str, ...]
    published: tuple[Publication, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether the lab has been brought up completely."""
        return self.plan_version is not None


class Hello(Call[AgentStatus], frozen=True, kw_only=True):
    """Ask for the agent's status. A run does so twice a second, so the answer is short however large the lab is."""


class ReadClock(Call[int], frozen=True, kw_only=True):
    """Read the monotonic clock."""


class Remember(Call[None], frozen=True, kw_only=True):
    """Keep the plan for later commands: the lab is up, and no longer ends with the command that made it.

    Attributes:
        plan: which the agent does not look into, but for its version.
        containers: the names of those that were there before the lab, by node.
    """

    plan: Mapping[str, object] | None
    containers: Mapping[str, str] = {}


class Recall(Call[Mapping[str, object] | None], frozen=True, kw_only=True):
    """Ask for the plan that `Remember` gave; None until the lab is up."""


class Shutdown(Call[None], frozen=True, kw_only=True):
    """End the agent, and with it all that it holds."""


class Stay(Call[None], frozen=True, kw_only=True):
    """End the agent, which puts everything back, as soon as the client disconnects or sends anything."""


class EngineReport(Payload, frozen=True, kw_only=True):
    """What the agent's `--probe` finds of an engine; `problem`, why it can't be used, is None where it can."""

    description: str
    problem: str | None
    hint: str | None
