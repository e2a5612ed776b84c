"""Containers and Docker networks that are there already, as a runtime discovers them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address

_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentAttachment:
    """An interface on a Docker network; or, of a network namespace, on a bridge or a cable."""

    network: str
    address: IPv4Address
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentContainer:
    """A container, running or not; or a network namespace.

    Attributes:
        name: in the Docker Engine; of a namespace, its path.
        host: its machine, where there are several; else empty.
        project, service, number: of compose; empty, and 0, where compose did not make the container.
        attachments: where links can be impaired.
        namespace: name of the container whose network namespace it has; its own name where that is its own. Of a
            namespace, the name of the one that it is the same as, or its own.
        problem: why its links can't be impaired, to follow its name; empty where they can.
    """

    name: str
    host: str = ""
    project: str = ""
    service: str = ""
    number: int = 0
    attachments: tuple[PresentAttachment, ...] = ()
    namespace: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentNetwork:
    """A Docker network of driver `bridge`, or `overlay` of machines, with IPv4; or a bridge or cable of namespaces.

    Attributes:
        name: in the Docker Engine; or that of the bridge, behind that of its namespace unless it is the machine's own;
            or the names of a cable's ends.
        subnet: in CIDR form.
        gateway: the machine's address on it; empty where it has none.
        mtu: bytes of an IP packet.
        project, word: of compose, and what its file calls the network; empty where compose did not make it.
        used: addresses of containers.
    """

    name: str
    subnet: str
    gateway: str
    mtu: int
    internal: bool
    project: str = ""
    word: str = ""
    used: frozenset[IPv4Address] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """All that a Docker Engine has, by name; or what there is of network namespaces.

    Attributes:
        containers: of several machines, by `MACHINE/NAME`.
        namespaces: by what a file calls them: a name of `ip netns`, the pid of a process, or a path.
        composed: name of the compose project that is still to be brought up, whose containers and networks are among
            the others; empty where there is none.
    """

    containers: Mapping[str, PresentContainer] = field(default_factory=dict)
    namespaces: Mapping[str, PresentContainer] = field(default_factory=dict)
    networks: Mapping[str, PresentNetwork] = field(default_factory=dict)
    composed: str = ""

    @property
    def projects(self) -> list[str]:
        """The compose projects that have containers."""
        return sorted({container.project for container in self.containers.values()} - {""})

    def of_project(self, project: str) -> list[PresentContainer]:
        """The containers of a compose project, by service and number."""
        found = [container for container in self.containers.values() if container.project == project]
        return sorted(found, key=lambda container: (container.service, container.number))

    def mac(self, name: str, network: str, host: str = "") -> str:
        """The MAC that a container, or a namespace, has on a network; KeyError where it is not on it."""
        for attachment in {**self.containers, **self.namespaces}[placed(name, host)].attachments:
            if attachment.network == network:
                return attachment.mac
        raise KeyError(network)


def placed(name: str, host: str) -> str:
    """Return the key of a container among those of several machines; its name where there is one machine."""
    return f"{host}/{name}" if host else name


def as_name(text: str) -> str:
    """Return the name of a node or network that stands for a name of the Docker Engine: `shop_web_1` is `shop-web-1`.

    Nodes' names are DNS labels, because they become host names.
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST_NAME].strip("-") or "x"
