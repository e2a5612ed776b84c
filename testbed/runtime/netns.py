"""The runtime that makes nodes of network namespaces, for root and ordinary users. They end with the agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from testbed.agent import messages, node_logs, protocol
from testbed.agent.client import HURRIED_SECONDS
from testbed.errors import LabError, TestbedError, unknown_node
from testbed.runtime import (
    Availability,
    Completed,
    LabStatus,
    failures,
    local_agent,
    machine_routes,
    netns_commands,
    state,
)
from testbed.runtime.state import LabDirectory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from ipaddress import IPv4Network

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.present import Present
    from testbed.runtime import ExpectedProject, Progress
    from testbed.runtime.netns_commands import NetnsProgram
    from testbed.services import ComposeProject


class NetnsRuntime:
    """See `testbed.runtime.Runtime`."""

    name = "netns"

    @property
    def description(self) -> str:
        """Whether the namespaces belong to root or to an ordinary user."""
        return f"network namespaces of {'root' if os.geteuid() == 0 else 'an ordinary user'}"

    def probe(self) -> Availability:
        """Test whether all namespaces that an agent needs can be created."""
        command = [sys.executable, "-m", "testbed.agent", "--isolate", "--probe"]
        trial = subprocess.run(command, capture_output=True, check=False, cwd="/")
        if trial.stdout:
            return Availability(usable=True, description=self.description)
        said = trial.stderr.splitlines()[-1:] or [b""]
        try:
            error = protocol.error_of(protocol.decode(said[0]))
        except ValueError:
            error = None
        if error is None:
            return Availability(usable=False, description="", reason=trial.stderr.decode(errors="replace").strip())
        return Availability(usable=False, description="", reason=error.message, hint=error.hint or "")

    def require(self, plan: Plan) -> None:
        """See `testbed.runtime.Runtime`. Namespaces have no image and no limits of their own."""
        from testbed.runtime import netns_bringup  # noqa: PLC0415  # it imports plans, which most commands do without

        netns_bringup.require(plan)

    def discover(self, names: Sequence[str] = (), hosts: Mapping[str, str] = MappingProxyType({})) -> Present:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Refuses containers."""
        if not names:
            raise failures.only_docker("the topology names containers or networks that are there already")
        from testbed.runtime import namespaces  # noqa: PLC0415  # few labs have namespaces of others

        return namespaces.discover(names)

    def expect(self, project: ComposeProject, present: Present) -> ExpectedProject:  # noqa: ARG002  # see above
        """Refuse: services of compose files are containers."""
        raise failures.only_docker("the topology names a compose file, whose services are containers")

    def own_project(self) -> str:
        """Refuse: compose projects are of containers."""
        raise failures.only_docker("a sidecar attaches to containers")

    def start_project(self, plan: Plan, progress: Progress) -> Plan:  # noqa: ARG002  # the protocol's
        """Do nothing: network namespaces have no compose project."""
        return plan

    def taken(self, *, leads_out: bool = True) -> list[IPv4Network]:
        """Return the destinations of this machine's routes if a network leads out; nothing else can overlap."""
        return sorted(set(machine_routes.destinations())) if leads_out else []

    def up(self, plan: Plan, progress: Progress) -> Plan:
        """Start the agent, which makes networks and nodes in its own namespaces."""
        from testbed.runtime import netns_bringup  # noqa: PLC0415  # see `require`

        return netns_bringup.bring_up(plan, self, progress)

    def down(self, lab: str) -> bool:
        """End the agent; the kernel removes the rest, but what was changed in namespaces of others."""
        self._stop_gracefully(lab)
        stopped = local_agent.stop(self.name, lab)
        directory = LabDirectory(self.name, lab)
        if directory.journal.exists():
            local_agent.sweep(self.name, lab)
        return directory.remove() or stopped

    def _stop_gracefully(self, lab: str) -> None:
        path = LabDirectory(self.name, lab).stop_signals
        if path.exists():
            with suppress(TestbedError):  # what does not stop is killed
                self.connect(lab).call(messages.StopCommands(signals=json.loads(path.read_text("ascii"))))

    def labs(self) -> list[LabStatus]:
        """The labs that have a directory."""
        return [self._status(lab) for lab in state.labs(self.name)]

    def holds(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`. All labs of this user have a directory, and others' are apart from them."""
        return lab in state.labs(self.name)

    def _status(self, lab: str) -> LabStatus:
        try:
            agent = local_agent.connect(self.name, lab, HURRIED_SECONDS)
            hello, attachments = agent.hello(), agent.call(messages.ReadAttachments(settled=False))
        except TestbedError as error:
            problem = (
                error.code == "agent-gone"
                and failures.after_death(local_agent.aftermath(self.name, lab), "network namespaces")
            ) or error.message
            return LabStatus(lab=lab, runtime=self.name, nodes={}, healthy=False, problem=problem)
        problem = "it was never brought up completely" if not hello.is_up else ""
        problem = problem or ", ".join(
            f"{n} {s}" for n, s in hello.nodes.items() if not (s in ("running", "gone") or n in hello.held)
        )
        problem = problem or "; ".join(attachments.problems)
        problem = problem or "; ".join(f"{link}: {death}" for link, death in hello.dead_links.items())
        return LabStatus(
            lab=lab,
            runtime=self.name,
            nodes=hello.nodes,
            healthy=not problem,
            problem=problem,
            notes=(
                *attachments.notes,
                *failures.held_by_faults(lab, hello.held),
                *(f"{each.node} publishes {each.port}" for each in hello.published),
            ),
        )

    def moment(self, lab: str) -> str:
        """How often the commands of nodes have been paused until now."""
        return json.dumps(dict(local_agent.status(self.name, lab).pauses))

    def require_running(self, lab: str, *, since: str = "", may_fail: Collection[str] = ()) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`."""
        ended: dict[str, str] = {}
        hello = local_agent.status(self.name, lab)
        before = json.loads(since) if since else hello.pauses
        for node, how in hello.nodes.items():
            if node in hello.held:
                continue
            if how.startswith("exited "):
                status = int(how.split()[1])
                if node not in may_fail:
                    raise failures.exited(node, status, b"".join(self.logs(lab, node)).decode(errors="replace"))
                ended[node] = f"status {status}"
            if how == "gone":
                raise LabError("node-gone", f"node {node}: its network namespace has gone", "make it anew")
            if how == "paused" or hello.pauses.get(node, 0) > before.get(node, 0):
                remedy = f"testbed exec {lab} {node} -- kill -CONT -- -1"
                raise failures.paused(node, now=how == "paused", remedy=remedy)
        return ended

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """See `testbed.runtime.Runtime`."""
        agent = self.connect(lab)
        if node not in (nodes := agent.hello().nodes):
            raise unknown_node(node, nodes)
        log = node_logs.path_of(LabDirectory(self.name, lab).path, node)
        yield from node_logs.pieces(log, lambda: not follow or agent.hello().nodes[node].startswith("exited"))

    def images(self, lab: str) -> Mapping[str, str]:  # noqa: ARG002
        """Return no images: nodes use this machine's programs."""
        return {}

    @contextmanager
    def visiting(self, lab: str, names: Sequence[str]) -> Iterator[Agent]:
        """See `testbed.runtime.Runtime`. The names are those of `ip netns`, pids or paths."""
        from testbed.runtime import namespaces  # noqa: PLC0415  # few labs have namespaces of others

        namespaces.require_root()
        present = [namespaces.as_present(name) for name in names]
        try:
            agent = local_agent.start(self.name, lab, isolate=False)
            agent.call(messages.Adopt(networks=(), nodes=tuple(present)))
            yield agent
        finally:
            local_agent.stop(self.name, lab)
            LabDirectory(self.name, lab).remove()

    def connect(self, lab: str) -> Agent:
        """See `testbed.runtime.Runtime`."""
        return local_agent.connect(self.name, lab)

    def run(
        self, lab: str, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Completed:
        """See `testbed.runtime.Runtime`."""
        return netns_commands.run(self.connect(lab), node, argv, stdin=stdin, timeout=timeout)

    def start(self, lab: str, node: str, argv: Sequence[str]) -> NetnsProgram:
        """See `testbed.runtime.Runtime`."""
        return netns_commands.start(self.connect(lab), node, argv)

    def put(self, lab: str, node: str, archive: IO[bytes]) -> None:
        """See `testbed.runtime.Runtime`."""
        from testbed.runtime import netns_files  # noqa: PLC0415  # it imports temporary files

        netns_files.put(self.connect(lab), node, archive)

    def get(self, lab: str, node: str, path: str) -> IO[bytes]:
        """See `testbed.runtime.Runtime`."""
        from testbed.runtime import netns_files  # noqa: PLC0415  # it imports temporary files

        return netns_files.get(self.connect(lab), node, path)

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """See `testbed.runtime.Runtime`."""
        return netns_commands.attach(self.connect(lab), node, argv, tty=tty)
