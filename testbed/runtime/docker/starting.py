"""Starts the containers of a lab, and registers them with the agent."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from testbed import logs
from testbed.agent import messages
from testbed.errors import LabError
from testbed.plan.relocation import readdress
from testbed.runtime import failures
from testbed.runtime.docker import copies, objects, overlays, services
from testbed.runtime.docker.engine import in_parallel, patiently, refusals
from testbed.runtime.node_settings import all_paths, interfaces, known_addresses, own_addresses, packet_filter, routes
from testbed.runtime.readiness import Readiness, first_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from testbed.agent.client import Agent
    from testbed.plan.forwarding import Forwarding
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Runtime
    from testbed.runtime.docker.engine import DockerEngine

_log = logging.getLogger(__name__)

_RESTARTING_SECONDS = 10
_POLL_SECONDS = 0.05

NO_HEALTHCHECK = "without a HEALTHCHECK"


@dataclass(kw_only=True)
class Starter:
    """Starts the nodes of a lab that is coming up, and registers them with the agent.

    Attributes:
        runtime: that of containers.
        engine: the Docker Engine.
        plan: of the lab. Once a node has started, it has the addresses that the Docker Engine gave it on networks that
            were there before.
        agent: it starts while the first containers do.
        identities: what tells the containers that run already, by node.
        images: what the other containers are made from, by node.
        tunnels: by wire to another machine, what carries it there.
        unseen: see `overlays.with_unseen`.
    """

    runtime: Runtime
    engine: DockerEngine
    plan: Plan
    agent: Future[Agent]
    identities: Mapping[str, messages.ContainerIdentity]
    images: Mapping[str, str]
    tunnels: Mapping[str, messages.Tunnel] = field(default_factory=dict)
    unseen: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _routes: Mapping[str, tuple[messages.NewRoute, ...]] = field(init=False, default_factory=dict)

    def start(self, nodes: Sequence[Node]) -> Readiness:
        """Create and start containers; return what tells when they are ready."""
        with logs.timed(_log, f"create and start {len(nodes)} containers"):
            started = in_parallel(self._bring_up, nodes)
        self._learn_addresses(nodes, [container for container, _ in started])
        self._routes = routes(self.plan)
        nodes = [self.plan.node(node.name) for node in nodes]
        agent = self._readiness.agent
        steady = [(node, made) for node, made in zip(nodes, started, strict=True) if not node.service.restarts]
        agent.call(self._adoption(*(self._adopted(node, *made) for node, made in steady)))
        for node, (container, pid) in zip(nodes, started, strict=True):
            if node.service.restarts:
                self._adopt_restarting(node, container, pid)
        return self._readiness

    @cached_property
    def _readiness(self) -> Readiness:
        return Readiness(
            runtime=self.runtime,
            lab=self.plan.lab,
            agent=self.agent.result(),
            health=self._health,
            address=self._address,
        )

    def _address(self, name: str) -> str:
        return first_address(self.plan, name)

    def _learn_addresses(self, nodes: Sequence[Node], containers: Sequence[str]) -> None:
        """Put into the plan the addresses and MACs that nodes were given on networks that were there before.

        On a network with IPv6 only, the IPv4 address that an older Docker Engine gives a node decides its MAC.
        """
        present = {network.name: network.present for network in self.plan.networks if network.present}
        without_ipv4 = {each.name for each in self.plan.networks if not (each.subnet or each.present or each.wire)}
        present |= {name: objects.network_name(self.plan.lab, name) for name in without_ipv4}
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for node, container in zip(nodes, containers, strict=True):
            joined = {each.network for each in node.interfaces if each.network in present}
            if joined and not node.container:
                given = objects.addresses(self.engine, container)
                found |= {(node.name, network): given[present[network]] for network in joined - without_ipv4}
                found |= {(node.name, network): ("", given[present[network]][1]) for network in joined & without_ipv4}
        if found:
            self.plan = readdress(self.plan, found)

    def _health(self, name: str) -> tuple[str, str]:
        container = self.plan.node(name).container
        return health(self.engine, container or objects.container_name(self.plan.lab, name))

    def _bring_up(self, node: Node) -> tuple[str, int]:
        """Make a node's container, unless it runs already; its id and the pid of its first process."""
        if node.container:
            return _present_pid(self.engine, node)
        if self.plan.hosts:
            name = objects.container_name(self.plan.lab, node.name)
            return overlays.made(self.engine, name, partial(self._make, node, self.engine.api.start))
        return self._make(node, lambda container: patiently(self.engine.api.start, container))

    def _make(self, node: Node, start: Callable[[str], None]) -> tuple[str, int]:
        """Create a node's container, start it by `start`, and return its id and the pid of its first process."""
        image, hosts = self.images[node.name], self._hosts(node)
        seen = overlays.given_unseen(node, self.unseen)
        try:
            container = objects.create_node(self.engine, self.plan, seen, image, hosts)
        except LabError as error:
            raise services.refused(node, error) from None
        if self.plan.hosts:
            copies.put_files(self.engine, self.plan, node, container)
        return container, _start_node(self.engine, node, container, start)

    def _adoption(self, *nodes: messages.PresentNode) -> messages.Adopt:
        networks = [
            messages.AdoptedNetwork(
                name=each.name, open=bool(each.present), internal=each.internal, overlay=bool(self.plan.hosts)
            )
            for each in self.plan.networks
            if not each.wire
        ]
        ends = {interface.network for node in nodes for interface in node.wires}
        wires = [
            messages.NewNetwork(name=name, mtu=mtu, tunnel=self.tunnels.get(name))
            for name, mtu in self._wires.items()
            if name in ends
        ]
        return messages.Adopt(networks=tuple(networks), nodes=nodes, wires=tuple(wires))

    @cached_property
    def _wires(self) -> Mapping[str, int]:
        """The MTU of each wire."""
        return {network.name: network.mtu for network in self.plan.networks if network.wire}

    @cached_property
    def _paths(self) -> tuple[Forwarding, ...]:
        return all_paths(self.plan)

    def _hosts(self, node: Node) -> list[tuple[str, str]]:
        """Return the names and addresses of nodes that the Docker Engine's DNS does not tell a node.

        It knows those that share one of the engine's networks with it, wires not among them; and it knows no IPv6
        address, which the agent gives. A name that is in /etc/hosts is not asked for, so both families are there then.
        """
        own = self._switches(node)
        itself = [] if own else [(node.name, address) for address in own_addresses(node)]
        known = list(known_addresses(self.plan, node, self._paths))
        if node.has_ipv6:
            return [(node.name, address) for address in own_addresses(node)] + known
        return itself + [(name, address) for name, address in known if not own & self._switches(self.plan.node(name))]

    def _switches(self, node: Node) -> set[str]:
        """Return the names of the Docker Engine's networks that a node is on."""
        return {interface.network for interface in node.interfaces} - self._wires.keys()

    def _adopt_restarting(self, node: Node, container: str, pid: int) -> None:
        """Register a node whose program may end, and be started again, at any time."""
        deadline = time.monotonic() + _RESTARTING_SECONDS
        while True:
            try:
                self._readiness.agent.call(self._adoption(self._adopted(node, container, pid)))
            except LabError as error:
                if error.code not in ("node-gone", "port-not-found") or time.monotonic() > deadline:
                    raise
                pid = _running_pid(self.engine, node, container)
            else:
                return

    def _adopted(self, node: Node, container: str, pid: int) -> messages.PresentNode:
        return messages.PresentNode(
            name=node.name,
            container=container,
            pid=pid,
            limited=node.name in self.plan.limited,
            interfaces=tuple(
                messages.PresentInterface(
                    network=interface.network,
                    mac=interface.mac,
                    address=interface.address,
                    address6=interface.address6,
                    prefix_length6=interface.prefix_length6,
                    mtu=interface.mtu,
                )
                for interface in node.interfaces
                if interface.network not in self._wires
            ),
            identity=self.identities.get(node.name),
            forwards=node.router is not None,
            wires=interfaces(node, set(self._wires)),
            routes=self._routes[node.name],
            packet_filter=packet_filter(self.plan, node),
        )


def _start_node(engine: DockerEngine, node: Node, container: str, start: Callable[[str], None]) -> int:
    """Start a node's container by `start`; return the pid of its first process on the Docker Engine's machine.

    Raises:
        LabError: `docker-refused`; `port-in-use`; `node-exited`.
    """
    try:
        with refusals(f"node {node.name}"):
            start(container)
    except LabError as error:
        raise services.explained(node, error, partial(services.holder, engine)) from None
    return _running_pid(engine, node, container)


def _running_pid(engine: DockerEngine, node: Node, container: str) -> int:
    """Return the pid of the first process of a started container; one that restarts gets a while to do so.

    Raises:
        LabError: `docker-refused`; `node-exited`.
    """
    deadline = time.monotonic() + _RESTARTING_SECONDS
    while True:
        with refusals(f"node {node.name}"):
            state = engine.api.inspect_container(container)["State"]
        if state["Running"] and state["Pid"] and not state["Restarting"]:
            return int(state["Pid"])
        if not state["Restarting"] or time.monotonic() > deadline:
            raise failures.exited(node.name, state["ExitCode"], engine.log_tail(container))
        time.sleep(_POLL_SECONDS)


def health(engine: DockerEngine, container: str) -> tuple[str, str]:
    """Return the state of a container's HEALTHCHECK (`starting`, `healthy`, `unhealthy`), and what it last said."""
    with refusals(f"container {container}"):
        found = engine.api.inspect_container(container)["State"].get("Health") or {}
    said = (found.get("Log") or [{}])[-1].get("Output", "").strip().splitlines()
    return found.get("Status", NO_HEALTHCHECK), said[-1] if said else ""


def _present_pid(engine: DockerEngine, node: Node) -> tuple[str, int]:
    """Return the id of a node's container that ran before the lab, and the pid of its first process.

    Raises:
        LabError: `docker-refused`; `node-exited`.
    """
    with refusals(f"node {node.name}"):
        identity: str = engine.api.inspect_container(node.container)["Id"]
    return identity, _running_pid(engine, node, identity)
