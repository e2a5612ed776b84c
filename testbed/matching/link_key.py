"""What identifies a link: its two nodes, or the one whose uplink or downlink it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from testbed.names import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.matching.match import Match


Value = TypeVar("Value")

ANY_NODE = "*"
"""In the place of a node: whichever it is. No node has this name."""


class LinkKey(NamedTuple):
    """What identifies a link.

    Attributes:
        source, destination: names of nodes. With `ANY_NODE` for the destination it is the source's uplink, with it for
            the source the destination's downlink.
        network: that both are on.
        match: the packets that it is for; None for all that no other link between the two is for.
    """

    source: str
    destination: str
    network: str
    match: Match | None = None

    @property
    def plain(self) -> LinkKey:
        """The link of the packets that no match selects, in the same direction."""
        return self._replace(match=None)

    @property
    def back(self) -> LinkKey:
        """The link in the other direction that is for the packets that the same match selects there."""
        return self._replace(source=self.destination, destination=self.source)

    def with_end(self, end: str, other: str) -> LinkKey:
        """Return the same link with the node `other` in the place of `end`, one of its ends."""
        source, destination = (other if name == end else name for name in (self.source, self.destination))
        return self._replace(source=source, destination=destination)

    @property
    def is_access(self) -> bool:
        """Whether it is an uplink or a downlink."""
        return ANY_NODE in (self.source, self.destination)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it names."""
        return tuple(node for node in (self.source, self.destination) if node != ANY_NODE)

    @property
    def place(self) -> tuple[str, str]:
        """The node at whose port it is, and the network: the receiver; of an uplink the sender."""
        return self.nodes[-1], self.network

    @property
    def is_outside(self) -> bool:
        """Whether an end is this machine, or what is beyond it."""
        return self.source in BUILT_IN or self.destination in BUILT_IN

    @property
    def name(self) -> str:
        """The link's name in messages and results: `client -> server (udp port 53)`, `client uplink`."""
        if self.destination == ANY_NODE:
            name = f"{self.source} uplink"
        elif self.source == ANY_NODE:
            name = f"{self.destination} downlink"
        else:
            name = f"{self.source} -> {self.destination}"
        return name + (f" ({self.match})" if self.match else "")

    def __str__(self) -> str:
        return f"{self.name} on {self.network}"


def by_direction(values: Mapping[LinkKey, Value]) -> dict[LinkKey, dict[Match | None, Value]]:
    """Return values of links by their direction (a key without a match), then by their match, in their order."""
    found: dict[LinkKey, dict[Match | None, Value]] = {}
    for key, value in values.items():
        found.setdefault(key.plain, {})[key.match] = value
    return found


def crossed(source: str, destination: str, network: str) -> tuple[LinkKey, LinkKey, LinkKey]:
    """Return the links that a packet crosses to a neighbour, in order: an uplink, the pair's own, and a downlink.

    Each is without a match, and may have no impairments.
    """
    return (
        LinkKey(source, ANY_NODE, network),
        LinkKey(source, destination, network),
        LinkKey(ANY_NODE, destination, network),
    )
