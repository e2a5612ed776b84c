"""What the agent reports about its lab: its status, the counters of links, and the plan that it keeps for commands."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from testbed.agent import messages, protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.attachments import Attachments
    from testbed.agent.faults import NodeFaults
    from testbed.agent.lab_events import Events
    from testbed.agent.links import Links
    from testbed.agent.node_commands import NodeCommands
    from testbed.agent.way_out import WayOut
    from testbed.agent.wiring import Wiring


@dataclass(slots=True)
class LabReports:
    """Answers the calls that ask how the lab is, and keeps its plan."""

    lab: str
    wiring: Wiring
    links: Links
    attachments: Attachments
    commands: NodeCommands
    node_faults: NodeFaults
    events: Events
    way_out: WayOut | None
    _plan: msgspec.Raw | None = None
    _plan_version: int | None = None
    _containers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether the lab has been brought up completely, so that it outlives the command that makes it."""
        return self._plan is not None

    async def remember(self, call: messages.Remember) -> None:
        """Keep the plan; the lab is up from then on, see `messages.Remember`."""
        # As text: it is only passed on, and a plan of thousands of links takes a second to encode.
        self._plan = None if call.plan is None else msgspec.Raw(msgspec.json.encode(call.plan))
        version = 0 if call.plan is None else call.plan.get("version")
        self._plan_version = None if call.plan is None else version if isinstance(version, int) else 0
        self._containers = call.containers
        self.attachments.begin()
        self.events.begun = self.is_up

    async def recall(self, _: messages.Recall) -> msgspec.Raw | None:
        """Return the plan that was kept; None if the lab has not come up."""
        return self._plan

    async def hello(self, _: messages.Hello) -> messages.AgentStatus:
        """Return the status of the agent and of each node."""
        held = self.node_faults.held()
        return messages.AgentStatus(
            version=protocol.VERSION,
            lab=self.lab,
            pid=os.getpid(),
            plan_version=self._plan_version,
            containers=self._containers,
            dead_links=self.links.dead(),
            nodes={name: held.get(name, how) if how != "gone" else how for name, how in self._states().items()},
            pauses=self.commands.pauses(),
            members=self.attachments.members.changed(),
            left=tuple(sorted(self.attachments.members.left)),
            published=self.way_out.published if self.way_out else (),
            held=held,
            paused_by_faults=tuple(sorted(self.node_faults.paused)),
        )

    def _states(self) -> dict[str, str]:
        """Return the state of each node, as `AgentStatus` names it, whatever faults have made of it."""
        found = {}
        for name, node in self.wiring.nodes.items():
            if name in self.attachments.members.left:
                continue
            if node.has_ended:
                found[name] = "awaited" if node.is_awaited else "gone" if node.path else "exited"
            else:
                found[name] = self.commands.state(name)
        return found

    async def look(self) -> None:
        """Note what happens to the lab by itself and what no call reports, until cancelled."""
        held = self.node_faults.held
        await self.events.look(
            lambda: ({name: how for name, how in self._states().items() if name not in held()}, self.links.dead())
        )

    async def state(self, _: messages.ReadState) -> messages.LabState:
        """Return the status, the counters of links and the report of attachments, all of one moment."""
        return messages.LabState(
            at_ns=time.monotonic_ns(),
            status=await self.hello(messages.Hello()),
            links=await self.statistics(messages.Statistics()),
            attachments=await self.attachments.report(settled=False),
        )

    async def statistics(self, _: messages.Statistics) -> tuple[messages.LinkStatistics, ...]:
        """Return the counters of links, apart from those of nodes that have left."""
        left = self.attachments.members.left
        return tuple(each for each in await self.links.statistics() if not {each.source, each.destination} & left)
