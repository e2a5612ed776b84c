"""The runtime that makes nodes of network namespaces, for root and ordinary users. They end with the agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from testbed.agent import messages, node_logs, protocol
from testbed.errors import LabError, MachineError, TestbedError, UsageError, unknown_node
from testbed.faults import Throttle
from testbed.linux import cgroups
from testbed.runtime import (
    Availability,
    Completed,
    LabStatus,
    failures,
    local_agent,
    machine_routes,
    namespaces,
    netns_commands,
    netns_creation,
    netns_files,
    netns_services,
    state,
    ways_out,
)
from testbed.runtime.readiness import Readiness, first_address
from testbed.runtime.starting import start_in_order
from testbed.runtime.state import LabDirectory
from testbed.services import Service

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from ipaddress import IPv4Network
    from pathlib import Path

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.present import Present
    from testbed.runtime import ExpectedProject, Progress
    from testbed.runtime.netns_commands import NetnsProgram
    from testbed.services import ComposeProject, PublishedPort

_SETTLING_SECONDS = 0.1  # in which a command that can't do its work gives up


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
        for node in plan.nodes:
            if node.container:
                raise _only_docker(f"node {node.name} is container {node.container}")
            if node.namespace:
                namespaces.require_root()
        ways_out.require(plan)
        present = {node.name for node in plan.nodes if node.namespace}
        for fault in plan.faults:
            if isinstance(fault, Throttle):
                _require_limits(fault)
            if fault.node in present:
                message = f"the timeline has {fault}, and that node is a namespace that the lab did not make"
                raise MachineError("not-controlled", message, "leave the event out, or let the lab make the node")
        netns_services.require(plan)

    def discover(self, names: Sequence[str] = (), hosts: Mapping[str, str] = MappingProxyType({})) -> Present:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Refuses containers."""
        if not names:
            raise _only_docker("the topology names containers or networks that are there already")
        return namespaces.discover(names)

    def expect(self, project: ComposeProject, present: Present) -> ExpectedProject:  # noqa: ARG002  # see above
        """Refuse: services of compose files are containers."""
        raise _only_docker("the topology names a compose file, whose services are containers")

    def own_project(self) -> str:
        """Refuse: compose projects are of containers."""
        raise _only_docker("a sidecar attaches to containers")

    def start_project(self, plan: Plan, progress: Progress) -> Plan:  # noqa: ARG002  # the protocol's
        """Do nothing: network namespaces have no compose project."""
        return plan

    def taken(self, *, leads_out: bool = True) -> list[IPv4Network]:
        """Return the destinations of this machine's routes if a network leads out; nothing else can overlap."""
        return sorted(set(machine_routes.destinations())) if leads_out else []

    def up(self, plan: Plan, progress: Progress) -> Plan:
        """Start the agent, which makes networks and nodes in its own namespaces."""
        self.require(plan)
        progress("agent")
        attaches = any(node.is_present for node in plan.nodes)
        leads_out = ways_out.leads_out(plan)
        ways_out.require_ports(plan, self._published)
        agent = local_agent.start(self.name, plan.lab, isolate=not attaches, leads_out=leads_out)
        progress("nodes")
        directory = LabDirectory(self.name, plan.lab).path
        netns_services.make_clocks(plan, directory)
        agent.call(namespaces.adoption(plan) if attaches else netns_creation.creation(plan, directory))
        readiness = Readiness(runtime=self, lab=plan.lab, agent=agent, address=partial(first_address, plan))
        if signals := netns_services.stop_signals(plan):
            self._stop_signals(plan.lab).write_text(json.dumps(dict(signals)), "ascii")

        def start(nodes: Sequence[Node]) -> Readiness:
            for node in nodes:
                if node.service.entrypoint or node.command:
                    _launch(agent, node)
                elif node.service != Service():
                    self._try(plan.lab, node.name)
            return readiness

        try:
            start_in_order(plan, start, progress)
            if any(node.command for node in plan.nodes):
                time.sleep(_SETTLING_SECONDS)
        finally:
            self.require_running(plan.lab)  # a node that has ended is the cause of the failure
        return plan

    def _published(self) -> Iterator[tuple[str, PublishedPort]]:
        """Yield the ports that labs publish, each with the lab's name."""
        for lab in state.labs(self.name):
            with suppress(TestbedError):
                for publication in local_agent.status(self.name, lab).published:
                    yield lab, publication.port

    def _try(self, lab: str, node: str) -> None:
        """Try whether commands of a node can have what the file gives them: its user, mounts, limits and directory."""
        done = self.run(lab, node, ["true"])
        if done.status:
            raise LabError("not-in-node", f"node {node}: no command can be started there: {done.stderr.strip()}")

    def down(self, lab: str) -> bool:
        """End the agent; the kernel removes the rest, but what was changed in namespaces of others."""
        self._stop_gracefully(lab)
        stopped = local_agent.stop(self.name, lab)
        directory = LabDirectory(self.name, lab)
        if directory.journal.exists():
            local_agent.sweep(self.name, lab)
        return directory.remove() or stopped

    def _stop_signals(self, lab: str) -> Path:
        """The file with the signals that ask nodes' programs to end; there is none where no node has one."""
        return LabDirectory(self.name, lab).path / "stop-signals.json"

    def _stop_gracefully(self, lab: str) -> None:
        path = self._stop_signals(lab)
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
            agent = self.connect(lab)
            hello, attachments = agent.hello(), agent.call(messages.Attachments(settled=False))
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
        netns_files.put(self.connect(lab), node, archive)

    def get(self, lab: str, node: str, path: str) -> IO[bytes]:
        """See `testbed.runtime.Runtime`."""
        return netns_files.get(self.connect(lab), node, path)

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """See `testbed.runtime.Runtime`."""
        return netns_commands.attach(self.connect(lab), node, argv, tty=tty)


def _require_limits(fault: Throttle) -> None:
    """Require that cgroups can limit the CPU time of nodes."""
    try:
        cgroups.place("cpu")
    except MachineError as error:
        raise MachineError(error.code, f"the timeline has {fault}, and {error.message}", error.hint) from None
    if fault.cpus_milli > (cores := os.cpu_count() or 1) * 1000:
        message = f"node {fault.node} asks for {fault.cpus_milli / 1000:g} CPUs of {cores}"
        raise MachineError("too-few-cpus", message, f"lower its cpus to {cores} or less")


def _only_docker(said: str) -> MachineError:
    message = f"{said}, which are a Docker Engine's; runtime netns makes namespaces of its own"
    return MachineError("needs-containers", message, "leave --runtime netns out")


def _launch(agent: Agent, node: Node) -> None:
    try:
        argv = (*node.service.entrypoint, *node.command)
        agent.call(messages.Launch(node=node.name, argv=argv, stop_signal=netns_services.stop_signal(node)))
    except UsageError as error:
        raise LabError(
            error.code,
            f"node {node.name}: {error.message}",
            "install the command on this machine, or use runtime docker",
        ) from None
