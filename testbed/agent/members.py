"""Which container is which node: containers are made anew under the name of another, and services grow and shrink.

A container with a node's name, or with its place in a compose service, is that node from then on. One more container of
a service becomes a further node, with the links that all others of the service have. A container that is removed while
others of its service remain is a node no more, and no failure.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from testbed.agent import owners
from testbed.agent.messages import ContainerIdentity, Member, PresentInterface
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.agent.docker_engine import Container, LocalDockerEngine
    from testbed.agent.links import Links
    from testbed.agent.owners import PortOwner
    from testbed.agent.ports import DevicePlace, Port
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)


class Unowned(Enum):
    """Why a port belongs to no node."""

    NO_NODE = auto()
    UNSEEN = auto()
    """No process is behind it, yet."""
    TOO_EARLY = auto()
    """It will be a node's when the container that still is that node has ended."""


@dataclass(slots=True)
class Members:
    """The containers that are the nodes of a lab.

    Attributes:
        engine: answers which container an id is; None where containers are known by their ids only.
        left: nodes whose containers were removed while others of their services remained.
    """

    wiring: Wiring
    links: Links
    engine: LocalDockerEngine | None
    left: set[str] = field(default_factory=set)
    _changed: dict[str, str] = field(default_factory=dict)
    """By node that was made anew or came later, the one of the plan that it is or resembles."""
    _engine_is_known: bool = False

    async def owner_of(self, place: DevicePlace, network: str) -> Port | Unowned:
        """Return the node's port that a new device on the switch side is, or why it is none.

        Raises:
            LabError: `docker-engine-silent`.
            OSError: the container has ended again.
        """
        side, device = place
        owner = owners.owner_of(side.fd, device) if device.peer else None
        if port := self.wiring.returned(place, network, owner):
            return port
        if owner is None:
            is_seen = not device.peer or owners.is_balancer(side.fd, device)
            is_seen = is_seen or (self.engine is None and owners.is_named(side.fd, device))
            return Unowned.NO_NODE if is_seen else Unowned.UNSEEN
        for container in owner.pids:
            if (described := await self._described(container)) and (node := self._node_of(described)):
                return self._take(node, described, network, place, owner)
        return Unowned.NO_NODE

    async def is_no_node(self, place: DevicePlace) -> bool:
        """Whether a device on the switch side is certainly no node's port, also none that a node might have now.

        Raises:
            LabError: `docker-engine-silent`.
        """
        side, device = place
        owner = owners.owner_of(side.fd, device) if device.peer else None
        if owner is None:
            return not device.peer or owners.is_balancer(side.fd, device)
        found = [await self._described(container) for container in owner.pids]
        return not any(described and self._node_of(described) for described in found)

    async def require_engine(self) -> None:
        """Make sure that nodes made anew will be recognised on networks of others, where unknown containers pass.

        Raises:
            LabError: `docker-engine-unknown`: there is no Docker Engine to ask, or not that of the lab;
                `docker-engine-silent`.
        """
        if self._engine_is_known or not (self.wiring.open_networks and self.wiring.identities):
            return
        running = [node.container for node in self.wiring.nodes.values() if node.container]
        if self.engine is None or (running and await self.engine.container(running[0]) is None):
            raise LabError(
                "docker-engine-unknown",
                "the agent's container can't ask the Docker Engine which container is which, so a node that is made "
                "anew would be taken for a container without links",
                "have the Docker Engine listen on /var/run/docker.sock too",
            )
        self._engine_is_known = bool(running)

    async def _described(self, container: str) -> Container | None:
        """A container that may be a node; None where it can't be, or is one."""
        known = not container or any(node.container == container for node in self.wiring.nodes.values())
        return await self.engine.container(container) if self.engine and self.wiring.identities and not known else None

    def _node_of(self, container: Container) -> str | None:
        """The name of the node that a container is; the lab may not have that node yet."""
        identities = self.wiring.identities
        for node, identity in identities.items():
            if identity.name == container.name or (identity.number and _place(identity) == _place(container)):
                return node
        if container.number and self._siblings(container):
            name = f"{container.service}-{container.number}"
            return None if name in self.wiring.nodes else name
        return None

    def _take(
        self, node: str, container: Container, network: str, place: DevicePlace, owner: PortOwner
    ) -> Port | Unowned:
        """Make a container a node, if it is on the network, and nothing else is that node."""
        identities, pid = self.wiring.identities, owner.pids[container.identity]
        if node in self.wiring.nodes:
            if not self.wiring.nodes[node].has_ended:
                return Unowned.TOO_EARLY
            if not self.wiring.nodes[node].is_awaited:
                self._changed.setdefault(node, node)
            self.wiring.succeed(node, pid, container.identity)
        else:
            like, *others = self._siblings(container)
            self.wiring.join(node, like, pid, container.identity)
            self._changed[node] = like
            for joined in {joined for name, joined in self.wiring.ports if name == node}:
                self.links.extend(like, node, joined, others)
        identities[node] = ContainerIdentity(
            name=container.name, project=container.project, service=container.service, number=container.number
        )
        self.left.discard(node)
        _log.info("container %s (%s) is node %s from now on", container.name, container.identity[:12], node)
        return self.wiring.returned(place, network, owner) or Unowned.NO_NODE

    def _siblings(self, container: Container) -> list[str]:
        """The nodes of a container's service that are named by it, by their numbers.

        Others were asked for one by one: what holds for them is not for every container of the service.
        """
        found = [
            (identity.number, node)
            for node, identity in self.wiring.identities.items()
            if _service(identity) == _service(container)
            and node in (identity.service, f"{identity.service}-{identity.number}")
        ]
        return [node for _, node in sorted(found)]

    def moved(self, node: str) -> None:
        """Note that a node may have other addresses than when it was adopted."""
        if node in self.wiring.identities:
            self._changed.setdefault(node, node)

    async def notice_departures(self) -> Collection[str]:
        """Look for nodes that have left since the last time.

        Raises:
            LabError: `docker-engine-silent`.
        """
        found = []
        for name, identity in self.wiring.identities.items():
            node = self.wiring.nodes[name]
            if name not in self.left and identity.number and node.has_ended and self._others_run(name, identity):
                assert self.engine  # noqa: S101  # identities are given only where it answers
                if await self.engine.container(node.container) is None:
                    self.left.add(name)
                    found.append(name)
        return found

    def _others_run(self, name: str, identity: ContainerIdentity) -> bool:
        return any(
            other != name and _service(each) == _service(identity) and not self.wiring.nodes[other].has_ended
            for other, each in self.wiring.identities.items()
        )

    def changed(self) -> tuple[Member, ...]:
        """Return the nodes that differ from those that were adopted: containers made anew, or added to a service."""
        return tuple(
            Member(
                name=name,
                like=like,
                container=self.wiring.identities[name].name,
                interfaces=tuple(
                    PresentInterface(network=port.network, mac=port.mac, address=port.address, address6=port.address6)
                    for port in self.wiring.ports.values()
                    if port.node == name
                ),
                links=self.links.requests(name) if like != name else (),
            )
            for name, like in self._changed.items()
            if name not in self.left
        )


def _service(member: ContainerIdentity | Container) -> tuple[str, str]:
    return member.project, member.service


def _place(member: ContainerIdentity | Container) -> tuple[str, str, int]:
    return member.project, member.service, member.number
