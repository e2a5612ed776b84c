"""The timeline of a plan: events at given times of a run, each resolved to what it does to links and nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.decisive import ADDED, ADDRESS, NOT_DECISIVE
from testbed.faults import Fault
from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """A change of a link's impairments.

    Attributes:
        source, destination, network, match: the link.
        impairments: all of its new impairments.
    """

    source: str
    destination: str
    network: str
    impairments: Impairments
    match: Match | None = field(default=None, metadata=ADDED)

    @property
    def key(self) -> LinkKey:
        """What identifies the link."""
        return LinkKey(self.source, self.destination, self.network, self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStart:
    """A command that is started in a node.

    Attributes:
        argv: the program and its arguments.
        may_fail: an exit status other than 0 is no incident.
    """

    node: str
    argv: tuple[str, ...]
    may_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAddress:
    """Another address for the NAT of a router.

    Attributes:
        node: the router.
        network: the one outside on which it has the address.
        address: IPv4, without the prefix length.
    """

    node: str
    network: str
    address: str = field(metadata=ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens once in a run.

    Attributes:
        at_ns: its time, from the start of the first workload.
        what: a description for users: `client <-> server: loss 20 %`, `partition client | server`.
        changes: the links that it changes; empty if it changes nothing.
        rebinds: the routers whose NATs forget their mappings and keep their addresses.
        addresses: of routers whose NATs get another one, and forget their mappings.
        faults: what happens to nodes.
        commands: what is started in nodes.
        minor: it is one of many steps of a gradual change, which are not shown one by one.
    """

    at_ns: int
    what: str = field(metadata=NOT_DECISIVE)
    changes: tuple[LinkChange, ...]
    rebinds: tuple[str, ...] = field(default=(), metadata=ADDED)
    addresses: tuple[NewAddress, ...] = field(default=(), metadata=ADDED)
    faults: tuple[Fault, ...] = field(default=(), metadata=ADDED)
    commands: tuple[CommandStart, ...] = field(default=(), metadata=ADDED)
    minor: bool = field(default=False, metadata=ADDED)
