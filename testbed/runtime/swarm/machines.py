"""The machines of a lab: their Docker Engines, which form a Swarm, and the record by which later commands find them."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  # the codec evaluates annotations
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from testbed import codec
from testbed.errors import LabError, MachineError, TestbedError, no_such_lab, unknown_node
from testbed.families import IPV4
from testbed.plan.placement import SWARM
from testbed.runtime.docker import DockerRuntime, endpoints
from testbed.runtime.docker.engine import DockerEngine, in_parallel
from testbed.runtime.state import LabDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from testbed.plan.model import Plan

    Result = TypeVar("Result")

_DATA_PORT = 4789
"""Of overlay networks, unless the Swarm was initialised with --data-path-port."""

GOSSIP_PORT = 7946
"""Of TCP and UDP, by which the machines of a Swarm tell each other of their containers."""

_JOIN = "docker swarm init on one machine prints the docker swarm join for the others"


class Machine:
    """One machine, reached through its Docker Engine.

    Attributes:
        name: in the file.
        address: of its Docker Engine, or the name of a Docker context.
        has_lab: it answered when the lab came up.
    """

    def __init__(self, name: str, address: str, *, has_lab: bool) -> None:
        self.name = name
        self.address = address
        self.has_lab = has_lab

    def __str__(self) -> str:
        return f"machine {self.name} ({self.address})"

    @cached_property
    def engine(self) -> DockerEngine:
        """Its Docker Engine.

        Raises:
            MachineError: `machine-unreachable`; those of `endpoints.named`.
        """
        try:
            return DockerEngine(endpoints.named(self.address))
        except MachineError as error:
            raise MachineError("machine-unreachable", f"{self}: {error.message}", error.hint) from None

    @cached_property
    def runtime(self) -> DockerRuntime:
        """The runtime of its containers."""
        return DockerRuntime(self.engine)

    @cached_property
    def swarm(self) -> Mapping[str, Any]:
        """What its Docker Engine says of the Swarm that it is in.

        Raises:
            MachineError: `no-swarm`: it is in none; `not-docker`: it is podman.
        """
        if self.engine.is_podman:
            raise MachineError("not-docker", f"{self} has podman, which forms no Swarm", "use a Docker Engine there")
        found: Mapping[str, Any] = self.engine.info()["Swarm"]
        if found["LocalNodeState"] != "active":
            said = f"the Docker Engine of {self} is in no Swarm: its state there is {found['LocalNodeState']}"
            raise MachineError("no-swarm", said, _JOIN)
        return found

    @property
    def is_manager(self) -> bool:
        """Whether its Docker Engine is a manager of the Swarm, which can make networks."""
        return bool(self.swarm["ControlAvailable"])

    @property
    def ip(self) -> str:
        """The IPv4 address by which the other machines of the Swarm know it.

        Raises:
            MachineError: `no-ipv4`.
        """
        address = str(self.swarm["NodeAddr"])
        if not self.knows_ipv4:
            said = f"the Swarm knows {self} by {address}, and wires between machines need IPv4 between them"
            hint = "docker swarm leave, and join again with --advertise-addr and the machine's IPv4 address"
            raise MachineError("no-ipv4", said, hint)
        return address

    @property
    def knows_ipv4(self) -> bool:
        """Whether the other machines know it by an IPv4 address."""
        return ip_address(str(self.swarm["NodeAddr"])).version == IPV4

    @property
    def data_port(self) -> int:
        """The UDP port of the Swarm's overlay networks, which a manager knows."""
        return int(self.swarm["Cluster"].get("DataPathPort") or _DATA_PORT)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Name the machine in errors of this context, and say so if it does not answer any more.

        Raises:
            LabError: `machine-gone`.
        """
        try:
            yield
        except TestbedError as error:
            if error.code == "machine-unreachable" and self.has_lab:
                raise gone([self], f" ({error.message.removeprefix(f'{self}: ')})") from None
            if error.code in ("machine-gone", "machine-unreachable"):
                raise
            if not self.engine.answers():
                raise gone([self], f" ({error.message})") from None
            if isinstance(error, MachineError) and str(self) not in error.message:
                raise MachineError(error.code, f"{self}: {error.message}", error.hint, path=error.path) from None
            raise


def gone(machines: Iterable[Machine], why: str = "") -> LabError:
    """Return the error that machines of a lab do not answer any more."""
    names = ", ".join(map(str, machines))
    return LabError(
        "machine-gone",
        f"{names} does not answer any more{why}",
        "start its Docker Engine, or restore the connection to it",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What later commands have to know of a lab.

    Attributes:
        hosts: addresses of Docker Engines by the names of machines.
        nodes: names of machines by the names of nodes.
    """

    hosts: Mapping[str, str]
    nodes: Mapping[str, str]


class Machines:
    """The machines of one lab.

    Attributes:
        record: which is kept in the lab's directory.
        by_name: all of them.
    """

    def __init__(self, record: Record, *, has_lab: bool) -> None:
        self.record = record
        self.by_name = {name: Machine(name, address, has_lab=has_lab) for name, address in record.hosts.items()}

    @classmethod
    def of_plan(cls, plan: Plan) -> Machines:
        """Return the machines that a plan names."""
        hosts = {host.name: host.address for host in plan.hosts}
        return cls(Record(hosts=hosts, nodes={node.name: node.host for node in plan.nodes}), has_lab=False)

    @classmethod
    def of_lab(cls, lab: str) -> Machines:
        """Return the machines of a lab that this user has brought up.

        Raises:
            UsageError: `no-such-lab`.
        """
        try:
            text = LabDirectory(SWARM, lab).machines.read_bytes()
        except FileNotFoundError:
            raise no_such_lab(lab) from None
        return cls(codec.decode(json.loads(text), Record), has_lab=True)

    def remember(self, lab: str) -> None:
        """Write the record, before anything is made anywhere."""
        directory = LabDirectory(SWARM, lab)
        directory.make()
        directory.machines.write_text(json.dumps(codec.encode(self.record)), encoding="utf-8")
        for machine in self.by_name.values():
            machine.has_lab = True

    @property
    def used(self) -> list[Machine]:
        """Those with nodes."""
        names = {*self.record.nodes.values()}
        return [machine for name, machine in self.by_name.items() if name in names]

    def of_node(self, node: str) -> Machine:
        """Return the machine of a node.

        Raises:
            UsageError: `unknown-node`.
        """
        if node not in self.record.nodes:
            raise unknown_node(node, self.record.nodes)
        return self.by_name[self.record.nodes[node]]

    def nodes_of(self, machine: Machine) -> set[str]:
        """Return the names of the nodes of a machine."""
        return {node for node, name in self.record.nodes.items() if name == machine.name}

    def part(self, plan: Plan, machine: Machine) -> Plan:
        """Return a plan with only the nodes of a machine."""
        names = self.nodes_of(machine)
        return replace(plan, nodes=tuple(node for node in plan.nodes if node.name in names))

    def each(self, work: Callable[[Machine], Result], machines: Iterable[Machine] | None = None) -> dict[str, Result]:
        """Return the result of `work` for several machines, by default for those with nodes, by name.

        Raises:
            LabError: `machine-gone`; what `work` raises.
        """

        def named(machine: Machine) -> Result:
            with machine.answering():
                return work(machine)

        chosen = self.used if machines is None else list(machines)
        return dict(zip((machine.name for machine in chosen), in_parallel(named, chosen), strict=True))

    def manager(self) -> Machine:
        """Return the machine that makes networks.

        Raises:
            MachineError: `no-swarm-manager`.
        """
        for machine in self.by_name.values():
            if machine.is_manager:
                return machine
        raise MachineError(
            "no-swarm-manager",
            f"none of the machines ({', '.join(self.by_name)}) is a manager of the Swarm, and only these make networks",
            "add a manager to hosts:, or docker node promote one of them",
        )

    def require_swarm(self) -> int:
        """Require that all are different machines of one Swarm, and return how many machines that has.

        Raises:
            MachineError: `machine-unreachable`, `no-swarm`, `no-swarm-manager`, `other-swarm`, `same-machine`.
        """
        self.each(lambda machine: machine.swarm, self.by_name.values())
        manager = self.manager()
        with manager.answering():
            members = {each["ID"]: each for each in manager.engine.swarm_members()}
        seen: dict[str, Machine] = {}
        for machine in self.by_name.values():
            identity = machine.swarm["NodeID"]
            if identity not in members:
                raise MachineError("other-swarm", f"{machine} is in another Swarm than {manager}", _JOIN)
            if identity in seen:
                said = f"{seen[identity]} and {machine} are the same Docker Engine"
                raise MachineError("same-machine", said, "name each machine once")
            if (status := members[identity]["Status"])["State"] != "ready":
                said = f"{machine} is {status['State']} in the Swarm of {manager}: {status.get('Message', '')}"
                raise MachineError("swarm-node-down", said, "docker node ls on the manager shows it")
            seen[identity] = machine
        return len(members)
