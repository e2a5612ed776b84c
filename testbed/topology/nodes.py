"""The nodes of the topology file: containers or namespaces, and groups of them."""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from testbed.topology.base import EmptyIsDefault, key
from testbed.topology.groups import member_names
from testbed.topology.networks import Attachment
from testbed.topology.routers import RouterValue, StaticRoute
from testbed.topology.services import ServiceKeys, form_tag
from testbed.topology.values import (
    Command,
    Cpus,
    DockerName,
    Flag,
    Image,
    Name,
    Namespace,
    SomeSize,
    Sysctl,
    Text,
    Variable,
)

Members = Annotated[int, Field(strict=True, ge=1, le=1000)]


Attachments = Annotated[
    Annotated[tuple[Name, ...], Tag("<list>"), Field(min_length=1)]
    | Annotated[Mapping[Name, Annotated[Attachment, EmptyIsDefault()]], Tag("<mapping>"), Field(min_length=1)],
    Discriminator(form_tag),
]


class NodeKeys(ServiceKeys):
    """One container or namespace."""

    networks: Attachments | None = key(
        "The networks it is on: names, or names with an address; needed only where the file has several",
        default=None,
        example=["home", "office"],
    )
    image: Image | None = key("Docker image; the testbed's own unless given", default=None)
    command: Command = key("What to run in it, as text or as a list of words", default=())
    environment: Mapping[Variable, Text] = key("Variables of the command", default={})
    cpus_milli: Cpus | None = key("CPU cores it may use", alias="cpus", default=None)
    memory_bytes: SomeSize | None = key("Memory it may use", alias="memory", default=None)
    sysctls: Mapping[Sysctl, Text] = key("Settings of its network stack", default={})
    router: RouterValue = key("Whether it forwards packets between its networks", default=None, example=True)
    routes: tuple[StaticRoute, ...] = key("Routes of its own, beside the computed ones", default=())
    may_fail: Flag = key("Whether a run goes on, not trusted, when its program ends", default=False)
    container: DockerName | None = key("A container that runs already, instead of a new one", default=None)
    count: Members | None = key(
        "Makes it a group of so many nodes, NAME-1, NAME-2, ...; the name then stands for all of them",
        default=None,
        example=30,
    )
    host: Name | None = key(
        "The machine that it is on, one of `hosts`; unless given, the one with the fewest nodes so far",
        default=None,
        example="east",
    )
    namespace: Namespace | None = key(
        "A network namespace that is there already: its name, the pid of a process in it, or its path",
        default=None,
    )

    @property
    def is_present(self) -> bool:
        """Whether it is there already, and the lab does not make it."""
        return self.container is not None or self.namespace is not None

    def attachments(self, networks: Collection[str]) -> Mapping[str, Attachment]:
        """Return its networks by name.

        Args:
            networks: all networks of the file. If there are several and the node names none, it is on none. A node that
                runs already is on none until its networks have been discovered.
        """
        if self.networks is None and self.is_present:
            return {}
        if self.networks is None:
            return {name: Attachment() for name in networks} if len(networks) == 1 else {}
        return self.networks if isinstance(self.networks, Mapping) else dict.fromkeys(self.networks, Attachment())

    def members(self, name: str) -> Mapping[str, "NodeKeys"]:
        """Return the nodes that it makes under `name`: itself, or the members of a group.

        An address (of IP, or a MAC) that the file gives is that of the first member; each further one has the next.
        """
        if self.count is None:
            return {name: self}
        return {member: self._member(index) for index, member in enumerate(member_names(name, self.count))}

    def _member(self, index: int) -> "NodeKeys":
        networks = self.networks
        if isinstance(networks, Mapping):
            networks = {name: one.moved(index) for name, one in networks.items()}
        return self.model_copy(update={"count": None, "networks": networks})
