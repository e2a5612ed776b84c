"""The runtime that makes nodes of containers."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from testbed import logs
from testbed.agent import messages
from testbed.errors import LabError, MachineError, TestbedError, no_such_lab, unknown_node
from testbed.runtime import Availability, LabStatus, local_files, state
from testbed.runtime.docker import agents, builds, objects, podman, routes, services
from testbed.runtime.docker.commands import Commands, DockerProgram
from testbed.runtime.docker.engine import DockerEngine, in_parallel
from testbed.runtime.readiness import Readiness
from testbed.runtime.starting import start_in_order
from testbed.runtime.state import LabDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from ipaddress import IPv4Network

    from testbed.agent.client import Agent
    from testbed.plan.model import Node, Plan
    from testbed.runtime import Completed, Progress

_log = logging.getLogger(__name__)

_RESTARTING_SECONDS = 10
_NOTICING_SECONDS = 0.5  # until the Docker Engine knows that a container's process has ended


class DockerRuntime:
    """See `testbed.runtime.Runtime`. Every method raises MachineError if no Docker Engine answers."""

    name = "docker"

    @cached_property
    def _engine(self) -> DockerEngine:
        return DockerEngine()

    @property
    def description(self) -> str:
        """The Docker Engine's version."""
        return self._engine.description

    def probe(self) -> Availability:
        """See `testbed.runtime.Runtime`."""
        try:
            return Availability(usable=True, description=self.description)
        except MachineError as error:
            return Availability(usable=False, description="", reason=error.message, hint=error.hint or "")

    def require(self, plan: Plan) -> None:
        """See `testbed.runtime.Runtime`. Also checks limits, which a Docker Engine otherwise ignores with a warning."""
        local_files.require(plan)
        images = {
            (node.image or objects.OWN_IMAGE, node.service.platform, node.service.pull_policy != "never")
            for node in plan.nodes
            if not node.service.build
        }
        images |= set() if self._engine.hosts_agent else {(objects.OWN_IMAGE, "", True)}
        in_parallel(self._ensure_image, sorted(images))
        limited = [node for node in plan.nodes if node.cpus_milli or node.memory_bytes]
        info = self._engine.info() if limited else {}
        for node in limited:
            if node.memory_bytes and not info["MemoryLimit"]:
                raise _no_limit(node, "memory", "memory")
            if node.cpus_milli and not info["CpuCfsQuota"]:
                raise _no_limit(node, "CPU time", "cpus")
            if node.cpus_milli > info["NCPU"] * 1000:
                message = f"node {node.name} asks for {node.cpus_milli / 1000:g} CPUs of {info['NCPU']}"
                raise MachineError("too-few-cpus", message, f"lower its cpus to {info['NCPU']} or less")

    def _ensure_image(self, wanted: tuple[str, str, bool]) -> None:
        image, platform, may_pull = wanted
        objects.ensure_image(self._engine, image, platform, may_pull=may_pull)

    def taken(self) -> list[IPv4Network]:
        """Return the subnets of the Docker Engine's networks and the destinations of this machine's routes."""
        return sorted({*objects.subnets(self._engine), *routes.destinations()})

    def up(self, plan: Plan, progress: Progress) -> None:
        """See `testbed.runtime.Runtime`. The agent starts while the containers do."""
        engine = self._engine
        progress("images")
        with logs.timed(_log, "get images"):
            self.require(plan)
            builds.make(engine, plan, objects.OWN_IMAGE, progress)
        LabDirectory(self.name, plan.lab).make()
        with ThreadPoolExecutor(1) as background:
            starting = background.submit(agents.start, engine, plan)
            progress("networks")
            with logs.timed(_log, f"create {len(plan.networks)} networks"):
                in_parallel(partial(objects.create_network, engine, plan.lab), plan.networks)
            progress("nodes")
            try:
                start_in_order(plan, _Starter(self, engine, plan, starting).start, progress)
                if engine.is_podman:
                    podman.require_bridging(engine.info(), starting.result(), plan)
            except LabError as error:
                if error.code in ("node-gone", "node-stopped"):
                    time.sleep(_NOTICING_SECONDS)
                raise
            finally:  # a node that has ended is the cause of the failure
                objects.require_running(engine, plan.lab, restarting=False)

    def down(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`."""
        directory = LabDirectory(self.name, lab)
        try:
            engine = self._engine
        except MachineError:
            if directory.path.exists():
                raise
            return False
        if not directory.path.exists() and not engine.containers(lab=lab) and not engine.networks(lab=lab):
            return False
        complete = False
        try:
            with suppress(LabError):  # what does not stop is killed
                services.stop_gracefully(engine, lab)
            complete = agents.end(engine, lab)
        finally:  # an agent that can't be ended is no reason to leave the rest
            with logs.timed(_log, "remove containers and networks"):
                objects.remove_all(engine, lab, settled=complete)
        directory.remove()
        return True

    def labs(self) -> list[LabStatus]:
        """Return all labs that have a container, a network or a directory."""
        nodes: dict[str, dict[str, str]] = {lab: {} for lab in state.labs(self.name)}
        try:
            engine = self._engine
        except MachineError as error:
            return [
                LabStatus(lab=lab, runtime=self.name, nodes={}, healthy=False, problem=error.message) for lab in nodes
            ]
        for each in (*engine.networks(lab=None), *engine.containers(lab=None)):
            states = nodes.setdefault(each["Labels"][objects.LAB], {})
            if node := each["Labels"].get(objects.NODE):
                states[node] = each["State"]
        return [self._status(lab, dict(sorted(states.items()))) for lab, states in sorted(nodes.items())]

    def _status(self, lab: str, nodes: dict[str, str]) -> LabStatus:
        notes: Sequence[str] = ()
        try:
            agent = self.connect(lab)
            hello, attachments = agent.hello(), agent.call(messages.Attachments(settled=False))
            notes = attachments.notes
            if hello.plan is None:
                problem = "it was never brought up completely"
            else:
                nodes = {**dict.fromkeys(hello.nodes, "removed"), **nodes}
                problem = "; ".join(attachments.problems)
            problem = problem or "; ".join(f"{link}: {death}" for link, death in hello.dead_links.items())
        except TestbedError as error:
            problem = error.message
        problem = problem or ", ".join(f"{node} is {now}" for node, now in nodes.items() if now != "running")
        return LabStatus(lab=lab, runtime=self.name, nodes=nodes, healthy=not problem, problem=problem, notes=notes)

    def moment(self, lab: str) -> str:  # noqa: ARG002
        """See `testbed.runtime.Runtime`."""
        return objects.moment(self._engine)

    def require_running(self, lab: str, *, since: str = "") -> None:
        """See `testbed.runtime.Runtime`."""
        objects.require_running(self._engine, lab, since=since)

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """See `testbed.runtime.Runtime`."""
        return self._engine.log(self._container(lab, node)["Id"], follow=follow)

    def images(self, lab: str) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`."""
        return objects.images(self._engine, lab)

    def connect(self, lab: str) -> Agent:
        """See `testbed.runtime.Runtime`."""
        return agents.connect(self._engine, lab)

    def run(
        self, lab: str, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Completed:
        """See `testbed.runtime.Runtime`."""
        return self._commands(lab, node).run(argv, stdin=stdin, timeout=timeout)

    def start(self, lab: str, node: str, argv: Sequence[str]) -> DockerProgram:
        """See `testbed.runtime.Runtime`."""
        return self._commands(lab, node).start(argv)

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """See `testbed.runtime.Runtime`."""
        commands = self._commands(lab, node)
        return commands.attach_terminal(argv) if tty else commands.attach(argv)

    def _commands(self, lab: str, node: str) -> Commands:
        container = self._container(lab, node)
        if container["State"] != "running":
            self.require_running(lab)
        return Commands(self._engine, container["Id"], node, partial(self.connect, lab))

    def _container(self, lab: str, node: str) -> dict[str, Any]:
        containers = {each["Labels"][objects.NODE]: each for each in self._engine.containers(lab=lab, node=None)}
        if not containers:
            raise no_such_lab(lab)
        if node not in containers:
            raise unknown_node(node, sorted(containers))
        return containers[node]


def _no_limit(node: Node, what: str, key: str) -> MachineError:
    message = f"node {node.name} asks for a limit on {what}, which the Docker Engine can't set here"
    return MachineError("no-limits", message, f"leave its {key} out, or enable that cgroup controller")


class _Starter:
    """Starts the nodes of a lab that is coming up, and has the agent know them.

    Args:
        runtime: this one.
        engine: the Docker Engine.
        plan: of the lab.
        agent: it starts while the first containers do.
    """

    def __init__(self, runtime: DockerRuntime, engine: DockerEngine, plan: Plan, agent: Future[Agent]) -> None:
        self._runtime = runtime
        self._engine = engine
        self._plan = plan
        self._agent = agent

    def start(self, nodes: Sequence[Node]) -> Readiness:
        """Create and start containers; return what tells when they are ready."""
        with logs.timed(_log, f"create and start {len(nodes)} containers"):
            started = in_parallel(self._bring_up, nodes)
        agent = self._readiness.agent
        steady = [(node, made) for node, made in zip(nodes, started, strict=True) if not node.service.restarts]
        agent.call(self._adoption(*(_adopted(node, *made) for node, made in steady)))
        for node, (container, pid) in zip(nodes, started, strict=True):
            if node.service.restarts:
                self._adopt_restarting(node, container, pid)
        return self._readiness

    @cached_property
    def _readiness(self) -> Readiness:
        health = partial(objects.health, self._engine, self._plan.lab)
        return Readiness(runtime=self._runtime, lab=self._plan.lab, agent=self._agent.result(), health=health)

    def _bring_up(self, node: Node) -> tuple[str, int]:
        container = objects.create_node(self._engine, self._plan, node)
        return container, objects.start_node(self._engine, node, container)

    def _adoption(self, *nodes: messages.PresentNode) -> messages.Adopt:
        networks = [messages.PresentNetwork(name=network.name, open=False) for network in self._plan.networks]
        return messages.Adopt(networks=tuple(networks), nodes=nodes)

    def _adopt_restarting(self, node: Node, container: str, pid: int) -> None:
        """Have the agent know a node whose program may end, and be started again, at any time."""
        deadline = time.monotonic() + _RESTARTING_SECONDS
        while True:
            try:
                self._readiness.agent.call(self._adoption(_adopted(node, container, pid)))
            except LabError as error:
                if error.code not in ("node-gone", "port-not-found") or time.monotonic() > deadline:
                    raise
                pid = objects.running_pid(self._engine, node, container)
            else:
                return


def _adopted(node: Node, container: str, pid: int) -> messages.PresentNode:
    return messages.PresentNode(
        name=node.name,
        container=container,
        pid=pid,
        limited=bool(node.cpus_milli or node.memory_bytes),
        interfaces=tuple(
            messages.PresentInterface(network=interface.network, mac=interface.mac, address=interface.address)
            for interface in node.interfaces
        ),
        identity=None,
    )
