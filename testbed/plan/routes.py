"""Routes of a plan's nodes: who forwards, and where nodes send packets. They are by name; addresses are not needed."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed import codec
from testbed.decisive import ADDED
from testbed.nat import Forward  # noqa: TC001  # the codec reads annotations

DEFAULT = "default"
"""The destination of a route for everything that no other route is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nat:
    """Translation of the addresses of nodes inside to the router's own ones outside.

    Attributes:
        inside, outside: networks that the router is on.
        kind: see `testbed.nat.KINDS`.
        timeout_ns: how long a mapping of UDP lasts without packets; whole seconds.
        hairpin: nodes inside reach each other by their addresses outside.
        forward: its static mappings.
    """

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    kind: str
    timeout_ns: int
    hairpin: bool = False
    forward: tuple[Forward, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """What lets connections be opened from inside only.

    Attributes:
        inside, outside: networks that the router is on.
        policy: of other packets: `drop`, or `reject`, which sends their sender an error.
        icmp: `pass` or `drop`: what becomes of ICMP errors.
    """

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    policy: str
    icmp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """What makes a node a router: it forwards packets between its networks.

    Attributes:
        routing: `computed`: its routes are installed; `none`: its own daemon finds routes, and those of the plan, which
            are the shortest paths, only say what it is expected to find.
        nat: None where it leaves addresses as they are.
        firewall: None where it forwards all packets.
    """

    routing: str = "computed"
    nat: Nat | None = field(default=None, metadata=ADDED)
    firewall: Firewall | None = field(default=None, metadata=ADDED)

    def hides(self, arrived: str, onward: str) -> bool:
        """Whether its NAT keeps packets that arrive over one network from another one, as these name no mapping."""
        return self.nat is not None and arrived in self.nat.outside and onward in self.nat.inside

    def translates(self, arrived: str, onward: str) -> bool:
        """Whether its NAT gives packets from one network to another the router's own address."""
        return self.nat is not None and arrived in self.nat.inside and onward in self.nat.outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Destinations that a node reaches by the same next hop.

    Attributes:
        to: names of networks, subnets in CIDR form, or `default`.
        via: the next node; or the address of something that is no node.
        network: the network that leads there.
        static: the file gives the route; else it was computed.
        family: of IP, 4 or 6.
    """

    to: tuple[str, ...]
    via: str
    network: str
    static: bool = False
    family: int = field(default=4, metadata={**ADDED, **codec.OMIT_DEFAULT})
