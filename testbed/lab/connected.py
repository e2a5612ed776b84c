"""The connection to a lab that is up: its plan, its runtime and its agent, and what these report about it.

What only some methods need is imported by these, so that commands such as `exec` and `down` start fast.
"""

from __future__ import annotations

import functools
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.errors import LabError
from testbed.lab.handles import argv_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.agent.messages import AttachmentReport, LinkStatistics, NodeSockets
    from testbed.agent.remote_process import RemoteEndpoint
    from testbed.endpoint.spec import Spec
    from testbed.lab.events import EventStream
    from testbed.lab.node_watch import NodeWatch
    from testbed.lab.snapshots import Snapshot
    from testbed.plan.model import Plan
    from testbed.runtime import Program, Runtime


class ConnectedLab:
    """A lab that is up, with a connection to its agent. It implements `testbed.workloads.nodes.Nodes`.

    Attributes:
        plan: what the lab was brought up from.
        was_up: whether the lab was up before this process asked for it.
        agent: the connection to the lab's agent.
    """

    def __init__(self, plan: Plan, runtime: Runtime, *, was_up: bool) -> None:
        self.plan = plan
        self.was_up = was_up
        self._runtime = runtime
        self.agent = runtime.connect(plan.lab)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.plan.lab

    @property
    def runtime(self) -> str:
        """`docker` or `netns`."""
        return self._runtime.name

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the nodes."""
        return (node.name for node in self.plan.nodes)

    def now_ns(self) -> int:
        """The time of the nodes' monotonic clock; see `testbed.workloads.nodes.Nodes`."""
        return time.monotonic_ns() + self._clock_offset_ns

    @functools.cached_property
    def _clock_offset_ns(self) -> int:
        return self.agent.clock_offset_ns()

    def endpoint(self, node: str, spec: Spec) -> RemoteEndpoint:
        """Start the endpoint program in a node; see `testbed.workloads.nodes.Nodes`."""
        return self.agent.endpoint(node, spec)

    def program(self, node: str, argv: Sequence[str]) -> Program:
        """Start a command in a node; see `testbed.workloads.nodes.Nodes`."""
        return self._runtime.start(self.name, self.plan.known(node).name, argv_of(argv))

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """Return the counters of each impaired link's engine."""
        return self.agent.call(messages.Statistics())

    def snapshot(self, before: Snapshot | None = None) -> Snapshot:
        """Return the state of the lab now: one question to the agent, cheap enough for once a second.

        Args:
            before: an earlier one, since which rates are computed.
        """
        from testbed.lab.snapshots import snapshot  # noqa: PLC0415 (see above)

        return snapshot(self.agent.call(messages.ReadState()), before)

    def events(self, *, past: bool = True, follow: bool = False) -> EventStream:
        """Return events of the lab, whatever causes them: impairments changed, faults, incidents, nodes that end, runs.

        with lab.events(follow=True) as events:
            for event in events:
                print(event.kind, event.what)

        Args:
            past: begin with what has happened before; the agent keeps the latest thousand events.
            follow: go on with what happens from now on, until `close`.

        Raises:
            LabError: `agent-gone`.
        """
        from testbed.lab.events import EventStream  # noqa: PLC0415 (see above)

        return EventStream(self.agent, past=past, follow=follow)

    def attachments(self) -> AttachmentReport:
        """Return how nodes are attached to their networks, and what changed since."""
        return self.agent.call(messages.ReadAttachments())

    def require_nodes(self) -> AttachmentReport:
        """Require that all nodes run and are on their networks, and return `attachments`.

        Raises:
            LabError: `lab-damaged`, with what is missing.
        """
        attachments = self.attachments()
        if attachments.problems:
            raise LabError(
                "lab-damaged",
                "; ".join(attachments.problems),
                f"start the nodes that are stopped, or bring the lab up again after testbed down {self.name}",
            )
        return attachments

    def sockets(self, *nodes: str) -> Mapping[str, NodeSockets]:
        """Return the TCP connections of nodes or groups (by default of all), by node.

        Raises:
            MachineError: `no-inet-diag`: the kernel lacks sock_diag for TCP.
            UsageError: `unknown-node`.
        """
        return self.agent.call(messages.Sockets(nodes=self.plan.members(*(nodes or self))))

    def versions(self) -> dict[str, str]:
        """Return the runtime with its version, for the record of a run."""
        return {self.runtime: self._runtime.description}

    def images(self) -> Mapping[str, str]:
        """Return the digest (or id) of each image that the nodes use, for the record of a run."""
        return self._runtime.images(self.name)

    def agent_log(self) -> bytes:
        """Return the log of the lab's agent; nothing where that is in a container."""
        from testbed.runtime.state import LabDirectory  # noqa: PLC0415 (see above)

        with suppress(OSError):
            return LabDirectory(self.runtime, self.name).log.read_bytes()
        return b""

    def watch_nodes(self) -> NodeWatch:
        """Return a context that fails if a node's program stops running, unless the node may fail."""
        from testbed.lab.node_watch import NodeWatch  # noqa: PLC0415 (see above)

        return NodeWatch(self._runtime, self.name, {node.name for node in self.plan.nodes if node.may_fail})

    def log_ends(self) -> Iterator[tuple[str, bytes]]:
        """Yield each node that has written output, with the end of the output, as a run keeps it; see `logs`."""
        from testbed.lab.node_watch import logs_of  # noqa: PLC0415 (see above)

        return logs_of(self._runtime, self.plan)
