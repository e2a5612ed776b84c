"""The runtime of nodes on several machines: one `DockerRuntime` per machine, and what has to be one for all of them."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from testbed import logs
from testbed.errors import LabError, MachineError, TestbedError, UsageError
from testbed.plan.placement import SWARM
from testbed.runtime import Availability, LabStatus, state
from testbed.runtime.docker import agents, builds, copies, discovery, objects, overlays, removal, requirements, services
from testbed.runtime.docker.engine import in_parallel
from testbed.runtime.docker.starting import Starter, health
from testbed.runtime.readiness import Readiness, first_address
from testbed.runtime.start_order import start_in_order
from testbed.runtime.state import LabDirectory
from testbed.runtime.swarm.agents import SpreadAgent
from testbed.runtime.swarm.lab_status import status_of
from testbed.runtime.swarm.machines import Machine, Machines, Record, gone
from testbed.runtime.swarm.starting_agents import identities, introduce, start_agent
from testbed.runtime.swarm.tunnels import require_room, tunnels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from ipaddress import IPv4Network
    from typing import IO

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.present import Present
    from testbed.runtime import Completed, ExpectedProject, Progress
    from testbed.runtime.docker.commands import DockerProgram
    from testbed.services import ComposeProject

_log = logging.getLogger(__name__)


_REMOVAL_SECONDS = 60
_ABSENT_SECONDS = 3
"""A Swarm never removes a network that containers of a machine use which does not answer."""


class SwarmRuntime:
    """See `testbed.runtime.Runtime`. Only the user who made a lab knows, by its directory, which machines it is on."""

    name = SWARM

    def __init__(self) -> None:
        self._known: dict[str, Machines] = {}
        self._current: Machines | None = None
        """Those of the lab that is in use: required, or connected to."""
        self._size = 0

    @property
    def description(self) -> str:
        """The machines with their Docker Engines."""
        found = self._current.by_name.values() if self._current else ()
        return ", ".join(f"{machine.name}: {machine.engine.description}" for machine in found) or "Docker Swarm"

    def probe(self) -> Availability:
        """See `testbed.runtime.Runtime`. Only a file names the machines."""
        return Availability(usable=False, description="", reason="only a file with hosts: has several machines")

    def require(self, plan: Plan) -> None:
        """See `testbed.runtime.Runtime`."""
        machines = self._current = self._known[plan.lab] = Machines.of_plan(plan)
        self._size = machines.require_swarm()

        def require(machine: Machine) -> None:
            objects.ensure_image(machine.engine, objects.OWN_IMAGE)
            requirements.require(machine.engine, machines.part(plan, machine))

        machines.each(require)

    def _machines(self, lab: str) -> Machines:
        """Return the machines of a lab.

        Raises:
            UsageError: `no-such-lab`.
        """
        if lab not in self._known:
            self._known[lab] = Machines.of_lab(lab)
        return self._known[lab]

    def _at(self, lab: str, node: str) -> Machine:
        return self._machines(lab).of_node(node)

    def discover(self, names: Sequence[str] = (), hosts: Mapping[str, str] = MappingProxyType({})) -> Present:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Networks are the Swarm's attachable overlays, which all machines have."""
        machines = Machines(Record(hosts=hosts, nodes={}), has_lab=False)
        machines.require_swarm()
        everywhere = machines.by_name.values()
        return discovery.merged(machines.each(lambda at: discovery.discover(at.engine, discovery.OVERLAY), everywhere))

    def expect(self, project: ComposeProject, present: Present) -> ExpectedProject:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Compose projects are refused."""
        _refuse("brings up no compose project")

    def own_project(self) -> str:
        """See `testbed.runtime.Runtime`. Compose projects are refused."""
        _refuse("knows no compose project")

    def visiting(self, lab: str, names: Sequence[str]) -> AbstractContextManager[Agent]:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Nothing of others is visited."""
        _refuse("visits nothing that runs already")

    def start_project(self, plan: Plan, progress: Progress) -> Plan:  # noqa: ARG002
        """See `testbed.runtime.Runtime`. Compose projects are refused."""
        _refuse("brings up no compose project")

    def taken(self, *, leads_out: bool = True) -> list[IPv4Network]:  # noqa: ARG002  # the protocol's
        """Return the subnets of the networks of all machines. Overlays have no routes on machines."""
        if self._current is None:
            return []
        machines = self._current.by_name.values()
        found = self._current.each(lambda machine: list(objects.subnets(machine.engine)), machines)
        return sorted({subnet for subnets in found.values() for subnet in subnets})

    def up(self, plan: Plan, progress: Progress) -> Plan:
        """See `testbed.runtime.Runtime`. Machine by machine, all at the same time."""
        machines = self._machines(plan.lab)
        progress("images")
        with logs.timed(_log, "get images"):
            self.require(plan)
            machines = self._machines(plan.lab)
            images = machines.each(
                lambda machine: builds.make(machine.engine, machines.part(plan, machine), objects.OWN_IMAGE, progress)
            )
        machines.remember(plan.lab)
        with logs.timed(_log, "copy volumes"):
            machines.each(lambda machine: copies.make(machine.engine, machines.part(plan, machine)))
        present = machines.each(partial(identities, machines, plan))
        progress("networks")
        manager = machines.manager()
        new = [network for network in plan.networks if not network.wire and not network.present]
        with logs.timed(_log, f"create {len(new)} networks"), manager.answering():
            in_parallel(partial(overlays.create, manager.engine, plan, machines=self._size), new)
            plan, unseen = overlays.with_unseen(manager.engine, plan)
        carried = tunnels(machines, plan)
        progress("agents")
        with logs.timed(_log, f"start agents on {len(machines.used)} machines"):
            started = machines.each(partial(start_agent, machines, plan))
        require_room(machines, plan, lambda machine: started[machine.name].result())
        progress("nodes")
        starters = {
            machine.name: Starter(
                runtime=machine.runtime,
                engine=machine.engine,
                plan=plan,
                agent=started[machine.name],
                identities=present[machine.name],
                images=images[machine.name],
                tunnels=carried.get(machine.name, {}),
                unseen=unseen,
            )
            for machine in machines.used
        }
        readiness = self._readiness(plan)

        def start(nodes: Sequence[Node]) -> Readiness:
            chosen = [machines.by_name[name] for name in dict.fromkeys(node.host for node in nodes)]
            machines.each(lambda at: starters[at.name].start([each for each in nodes if each.host == at.name]), chosen)
            return readiness

        try:
            start_in_order(plan, start, progress)
            introduce(machines, plan)
        finally:  # a node that has ended is the cause of the failure
            self.require_running(plan.lab)
        return plan

    def _readiness(self, plan: Plan) -> Readiness:
        def node_health(node: str) -> tuple[str, str]:
            container = plan.node(node).container or objects.container_name(plan.lab, node)
            return health(self._at(plan.lab, node).engine, container)

        return Readiness(
            runtime=self,
            lab=plan.lab,
            agent=self.connect(plan.lab),
            health=node_health,
            address=partial(first_address, plan),
        )

    def down(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`. All machines that answer are cleaned up, whatever is the matter with others.

        Raises:
            LabError: `machine-gone`: what the lab has there is still to be removed, by `down` on that machine.
        """
        directory = LabDirectory(self.name, lab)
        if not directory.path.exists():
            return False
        try:
            machines = Machines.of_lab(lab)
        except UsageError:  # nothing was made yet
            directory.remove()
            return True
        absent: list[Machine] = []
        failures: list[TestbedError] = []

        def remove(machine: Machine) -> None:
            try:
                with machine.answering():
                    _remove_from(machine, lab)
            except TestbedError as error:
                if error.code in ("machine-gone", "machine-unreachable"):
                    absent.append(machine)
                else:
                    failures.append(error)

        in_parallel(remove, machines.by_name.values())
        present = [machine for machine in machines.by_name.values() if machine not in absent]
        manager = next((machine for machine in present if machine.is_manager), None)
        if manager:
            try:
                seconds = _ABSENT_SECONDS if absent else _REMOVAL_SECONDS
                removal.remove_all(manager.engine, lab, settled=True, seconds=seconds)
            except TestbedError as error:
                failures.append(error)
        if failures and not absent:
            raise failures[0]
        directory.remove()
        self._known.pop(lab, None)
        if absent:
            left = "; what could not be removed elsewhere: " + "; ".join(each.message for each in failures)
            absence = gone(absent, f"; lab {lab} is removed from the others{left * bool(failures)}")
            absence.hint = (
                f"when it is back, testbed down {lab} on that machine removes what it still has, then on the Swarm's "
                "manager the networks, which the Swarm keeps as long as a machine that is gone may use them"
            )
            raise absence
        return True

    def labs(self) -> list[LabStatus]:
        """See `testbed.runtime.Runtime`. Only labs that this user has brought up are known."""
        return [self._status(lab) for lab in state.labs(self.name)]

    def holds(self, lab: str) -> bool:
        """See `testbed.runtime.Runtime`. Only labs that this user has brought up are known."""
        return lab in state.labs(self.name)

    def _status(self, lab: str) -> LabStatus:
        try:
            return status_of(self._machines(lab), lab)
        except UsageError as error:
            return LabStatus(lab=lab, runtime=self.name, nodes={}, healthy=False, problem=error.message)

    def moment(self, lab: str) -> str:
        """See `testbed.runtime.Runtime`. By machine, each by its own clock."""
        return json.dumps(self._machines(lab).each(lambda machine: machine.runtime.moment(lab)))

    def require_running(self, lab: str, *, since: str = "", may_fail: Collection[str] = ()) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`."""
        moments = json.loads(since) if since else {}
        found = self._machines(lab).each(
            lambda machine: machine.runtime.require_running(lab, since=moments.get(machine.name, ""), may_fail=may_fail)
        )
        return {node: how for ended in found.values() for node, how in ended.items()}

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            yield from machine.runtime.logs(lab, node, follow=follow)

    def images(self, lab: str) -> Mapping[str, str]:
        """See `testbed.runtime.Runtime`. An image of which machines have different ones is named with its machine."""
        merged: dict[str, str] = {}
        for machine, found in self._machines(lab).each(lambda machine: machine.runtime.images(lab)).items():
            for image, digest in found.items():
                if merged.setdefault(image, digest) != digest:
                    merged[f"{image} on {machine}"] = digest
        return merged

    def connect(self, lab: str) -> SpreadAgent:
        """See `testbed.runtime.Runtime`."""
        machines = self._current = self._machines(lab)
        return SpreadAgent(machines, partial(_agent_of, lab))

    def run(
        self, lab: str, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Completed:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            return machine.runtime.run(lab, node, argv, stdin=stdin, timeout=timeout)

    def start(self, lab: str, node: str, argv: Sequence[str]) -> DockerProgram:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            return machine.runtime.start(lab, node, argv)

    def put(self, lab: str, node: str, archive: IO[bytes]) -> None:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            machine.runtime.put(lab, node, archive)

    def get(self, lab: str, node: str, path: str) -> IO[bytes]:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            return machine.runtime.get(lab, node, path)

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """See `testbed.runtime.Runtime`."""
        machine = self._at(lab, node)
        with machine.answering():
            return machine.runtime.attach(lab, node, argv, tty=tty)


def _agent_of(lab: str, machine: Machine) -> Agent:
    return machine.runtime.connect(lab)


def _remove_from(machine: Machine, lab: str) -> None:
    """Remove a lab's containers from a machine; its networks remain."""
    engine = machine.engine
    complete = False
    try:
        with suppress(LabError):  # what does not stop is killed
            services.stop_gracefully(engine, lab)
        complete = agents.end(engine, lab)
    finally:
        removal.remove_all(engine, lab, settled=complete, with_networks=False)
        copies.remove(engine, lab)


def _refuse(what: str) -> NoReturn:
    raise MachineError("not-over-machines", f"a lab on several machines {what}", "leave hosts out of the file")
