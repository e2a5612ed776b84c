"""The runtime that makes nodes of containers."""

from __future__ import annotations

import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from testbed import logs
from testbed.agent import messages
from testbed.agent.client import HURRIED_SECONDS
from testbed.errors import LabError, MachineError, TestbedError
from testbed.plan.members import held_plan
from testbed.runtime import Availability, ExpectedProject, LabStatus, machine_routes, state
from testbed.runtime.docker import agents, builds, lab_status, objects, podman, removal, requirements, services
from testbed.runtime.docker.commands import Commands, DockerProgram
from testbed.runtime.docker.engine import DockerEngine, in_parallel, refusals
from testbed.runtime.docker.node_containers import NodeContainers
from testbed.runtime.docker.starting import Starter
from testbed.runtime.start_order import start_in_order
from testbed.runtime.state import LabDirectory

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator, Mapping, Sequence
    from ipaddress import IPv4Network

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.present import Present
    from testbed.runtime import Completed, Progress
    from testbed.runtime.docker.projects import Identities
    from testbed.services import ComposeProject

_log = logging.getLogger(__name__)

_NOTICING_SECONDS = 0.5  # until the Docker Engine knows that a container's process has ended


class DockerRuntime:
    """See `testbed.runtime.Runtime`. Every method raises MachineError if no Docker Engine answers."""

    name = "docker"

    def __init__(self, engine: DockerEngine | None = None) -> None:
        """Use a Docker Engine, by default the one that the environment names."""
        self._given = engine
        self._containers = NodeContainers(lambda: self._engine, self.connect)

    @cached_property
    def _engine(self) -> DockerEngine:
        return self._given or DockerEngine()

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
        """See `testbed.runtime.Runtime`."""
        if spaces := [node.namespace for node in plan.nodes if node.namespace]:
            raise _only_netns(spaces[0])
        requirements.require(self._engine, plan)

    def discover(self, names: Sequence[str] = (), hosts: Mapping[str, str] = MappingProxyType({})) -> Present:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Refuses namespaces."""
        if names:
            raise _only_netns(names[0])
        from testbed.runtime.docker import discovery  # noqa: PLC0415  # most labs attach nothing

        return discovery.discover(self._engine)

    def expect(self, project: ComposeProject, present: Present) -> ExpectedProject:
        """See `testbed.runtime.Runtime`. The Docker Engine is not asked."""
        from testbed.runtime.docker import compose, composed  # noqa: PLC0415  # few labs have compose files

        program = compose.program()
        config = program.config(project)
        return ExpectedProject(
            present=composed.expected(config, project, program.separator, present),
            fingerprint=composed.fingerprint(config, project),
        )

    def own_project(self) -> str:
        """See `testbed.runtime.Runtime`."""
        from testbed.runtime.docker import discovery  # noqa: PLC0415  # as above

        return discovery.own_project(self._engine)

    def taken(self, *, leads_out: bool = True) -> list[IPv4Network]:  # noqa: ARG002  # the protocol's
        """Return the subnets of the Docker Engine's networks and the destinations of this machine's routes."""
        return sorted({*objects.subnets(self._engine), *machine_routes.destinations()})

    def up(self, plan: Plan, progress: Progress) -> Plan:
        """See `testbed.runtime.Runtime`. The agent starts while the containers do."""
        engine = self._engine
        progress("images")
        with logs.timed(_log, "get images"):
            self.require(plan)
            images = builds.make(engine, plan, objects.OWN_IMAGE, progress)
        LabDirectory(self.name, plan.lab).make()
        plan, composed = self._create_project(plan, progress)
        identities = self._identities(plan, composed) if self._containers.begin(plan, without=composed) else {}
        own = {node.name: objects.container_name(plan.lab, node.name) for node in plan.nodes if not node.container}
        identities = {node: messages.ContainerIdentity(name=name) for node, name in own.items()} | {**identities}
        new_networks = [network for network in plan.networks if not network.present and not network.wire]
        with ThreadPoolExecutor(1) as background:
            starting = background.submit(agents.start, engine, plan.lab, limits_nodes=bool(plan.limited))
            progress("networks")
            with logs.timed(_log, f"create {len(new_networks)} networks"):
                in_parallel(partial(objects.create_network, engine, plan.lab), new_networks)
            progress("nodes")
            starter = Starter(
                runtime=self, engine=engine, plan=plan, agent=starting, identities=identities, images=images
            )
            try:
                if composed:
                    from testbed.runtime.docker import projects  # noqa: PLC0415  # few labs have compose files

                    projects.expect(engine, starting.result(), plan, composed)
                others = tuple(node for node in plan.nodes if node.name not in composed)
                start_in_order(replace(plan, nodes=others), starter.start, progress)
                if engine.is_podman:
                    podman.require_bridging(engine.info(), starting.result(), starter.plan)
            except LabError as error:
                if error.code in ("node-gone", "node-stopped"):
                    time.sleep(_NOTICING_SECONDS)
                raise
            finally:  # a node that has ended is the cause of the failure
                self._require_running(plan.lab, restarting=False)
        return starter.plan

    def _create_project(self, plan: Plan, progress: Progress) -> tuple[Plan, Identities]:
        if not plan.project:
            return plan, {}
        from testbed.runtime.docker import projects  # noqa: PLC0415  # as above

        progress("compose")
        return projects.create(self._engine, plan, progress)

    def start_project(self, plan: Plan, progress: Progress) -> Plan:
        """See `testbed.runtime.Runtime`."""
        from testbed.runtime.docker import projects  # noqa: PLC0415  # as above

        self._containers.begin(plan, without={})
        return projects.start(self, self._engine, plan, progress)

    def _identities(self, plan: Plan, composed: Container[str]) -> Mapping[str, messages.ContainerIdentity]:
        """Return what identifies the attached containers of a plan, by node, without those of its compose project.

        Raises:
            LabError: `container-changed`: they are not as the plan says; `port-in-use`: by another lab.
        """
        from testbed.runtime.docker import discovery  # noqa: PLC0415  # as above

        discovery.require_free(plan, self.other_plans(plan.lab))
        return discovery.identities(plan, self.discover(), composed)

    def other_plans(self, lab: str) -> Iterator[Plan]:
        """Yield the plans of all labs but one whose agents can be asked."""
        known = {*state.labs(self.name), *(each["Labels"][objects.LAB] for each in self._engine.containers(agent=None))}
        for other in sorted(known - {lab}):
            with suppress(TestbedError):
                if held := held_plan(self.connect(other)):
                    yield held

    def down(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`."""
        directory = LabDirectory(self.name, lab)
        self._containers.forget(lab)
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
            if directory.compose.exists():
                from testbed.runtime.docker import projects  # noqa: PLC0415  # as above

                projects.down(engine, lab)
            with suppress(LabError):  # what does not stop is killed
                services.stop_gracefully(engine, lab)
            complete = agents.end(engine, lab)
        finally:  # an agent that can't be ended is no reason to leave the rest
            with logs.timed(_log, "remove containers and networks"):
                removal.remove_all(engine, lab, settled=complete)
        directory.remove()
        return True

    def labs(self) -> list[LabStatus]:
        """Return all labs that have a container, a network or a directory."""
        return lab_status.of_all(lambda: self._engine, self._connect_hurriedly)

    def holds(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`."""
        return lab_status.holds(self._engine, lab)

    def status(self, lab: str) -> LabStatus:
        """Return the state of one lab."""
        return lab_status.of_one(self._engine, lab, self._connect_hurriedly)

    def _connect_hurriedly(self, lab: str) -> Agent:
        return agents.connect(self._engine, lab, HURRIED_SECONDS)

    def moment(self, lab: str) -> str:  # noqa: ARG002
        """See `testbed.runtime.Runtime`."""
        return objects.moment(self._engine)

    def require_running(self, lab: str, *, since: str = "", may_fail: Collection[str] = ()) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`."""
        return self._require_running(lab, since=since, may_fail=may_fail)

    def _require_running(
        self, lab: str, *, since: str = "", restarting: bool = True, may_fail: Collection[str] = ()
    ) -> Mapping[str, str]:
        containers, removed = self._containers.with_removed(lab)
        for node, name in removed.items():
            if node not in may_fail:
                raise LabError("node-exited", f"node {node}: container {name} is not there", "start it again")
        return dict.fromkeys(removed, "its container was removed") | objects.require_running(
            self._engine,
            containers,
            partial(self._by_faults, lab),
            since=since,
            restarting=restarting,
            may_fail=may_fail,
        )

    def _by_faults(self, lab: str) -> tuple[Collection[str], Collection[str]]:
        """Return the nodes that faults keep from running, and those that faults have paused."""
        try:
            status = self.connect(lab).hello()
        except TestbedError:
            return (), ()
        return status.held, status.paused_by_faults

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """See `testbed.runtime.Runtime`."""
        return self._engine.log(self._containers.one(lab, node)["Id"], follow=follow)

    def images(self, lab: str) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`."""
        return objects.images(self._engine, self._containers.of(lab))

    @contextmanager
    def visiting(self, lab: str, names: Sequence[str]) -> Iterator[Agent]:
        """See `testbed.runtime.Runtime`. The names are those of any containers."""
        from testbed.runtime.docker import discovery  # noqa: PLC0415  # as above

        engine = self._engine
        present = [discovery.running(engine, name) for name in names]
        if not engine.hosts_agent:
            objects.ensure_image(engine, objects.OWN_IMAGE)
        try:
            agent = agents.start(engine, lab)
            agent.call(messages.Adopt(networks=(), nodes=tuple(present)))
            yield agent
        finally:
            agents.end(engine, lab)
            removal.remove_all(engine, lab, settled=True)
            LabDirectory(self.name, lab).remove()

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

    def put(self, lab: str, node: str, archive: IO[bytes]) -> None:
        """See `testbed.runtime.Runtime`."""
        with refusals(f"copy to node {node}", "copy-failed"):
            self._engine.api.put_archive(self._containers.one(lab, node)["Id"], "/", archive)

    def get(self, lab: str, node: str, path: str) -> IO[bytes]:
        """See `testbed.runtime.Runtime`."""
        with refusals(f"copy from node {node}", "copy-failed"):
            pieces, _ = self._engine.api.get_archive(self._containers.one(lab, node)["Id"], path)
            written = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
            try:
                written.writelines(pieces)
            except BaseException:
                written.close()
                raise
            written.seek(0)
            return written

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """See `testbed.runtime.Runtime`."""
        commands = self._commands(lab, node)
        return commands.attach_terminal(argv) if tty else commands.attach(argv)

    def _commands(self, lab: str, node: str) -> Commands:
        container = self._containers.one(lab, node)
        if container["State"] != "running":
            self.require_running(lab)
        return Commands(self._engine, container["Id"], node, partial(self.connect, lab))


def _only_netns(namespace: str) -> MachineError:
    message = f"namespace {namespace} is there already, which is nothing of a Docker Engine's"
    return MachineError("needs-namespaces", message, "leave --runtime docker out")
