"""Time zero of a run: the instant when its first workloads begin, and with them the links' traces and the timeline."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from testbed import logs
from testbed.agent.messages import RestartAllLinks

if TYPE_CHECKING:
    from testbed.agent.client import Agent
    from testbed.lab.event_commands import EventCommands
    from testbed.lab.timeline_client import Timeline

_log = logging.getLogger(__name__)

_RESTART_NS: Final = 500_000
"""Time to allow for the restart of a link, several times as long as it takes on a quiet machine."""


class TimeZero:
    """Sets time zero of a run, once, before any workload sends a packet.

    All links restart then, with their traces beginning at time zero: packet n of a link has the same fate in each run,
    whatever crossed the link while the workloads got ready.

    Args:
        agent: of the lab.
        timeline: of the run.
        commands: those of the timeline.
        links: how many links the lab has.

    Attributes:
        lead_ns: how long setting it may take; 0 when it is set.
    """

    def __init__(self, agent: Agent, timeline: Timeline, commands: EventCommands, *, links: int) -> None:
        self.lead_ns = links * _RESTART_NS + agent.lead_ns
        self._agent = agent
        self._timeline = timeline
        self._commands = commands
        self._setting = threading.Lock()
        self._is_set = False

    def set(self, start_ns: int) -> None:
        """Set time zero, by the nodes' clock. Calls after the first do nothing. Safe to call from any thread.

        Raises:
            TestbedError: the links could not be restarted, or the timeline not be started.
        """
        with self._setting:
            if self._is_set:
                return
            self._is_set = True
            with logs.timed(_log, "restart the links"):
                self._agent.call(RestartAllLinks(origin_ns=start_ns))
            self._timeline.start(start_ns)
            self._commands.start(start_ns)
            self.lead_ns = 0
