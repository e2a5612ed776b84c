"""Routes of a plan's nodes: who forwards, and where nodes send packets. They are by name; addresses are not needed."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "default"
"""The destination of a route for everything that no other route is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """What makes a node a router: it forwards packets between its networks.

    Attributes:
        routing: `computed`: its routes are installed; `none`: its own daemon finds routes, and those of the plan, which
            are the shortest paths, only say what it is expected to find.
    """

    routing: str = "computed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Destinations that a node reaches by the same next hop.

    Attributes:
        to: names of networks, subnets in CIDR form, or `default`.
        via: the next node; or the address of something that is no node.
        network: the network that leads there.
        static: the file gives the route; else it was computed.
    """

    to: tuple[str, ...]
    via: str
    network: str
    static: bool = False
