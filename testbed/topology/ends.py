"""The keys that name a link: its two nodes, for both directions or for one; one node; or a wire, which they make."""

from typing import Annotated, ClassVar

from pydantic import Discriminator, Field, Tag

from testbed.matching import ANY_NODE, Match
from testbed.topology.address_values import Families, WireSubnets
from testbed.topology.base import Model, key
from testbed.topology.matches import MatchKeys
from testbed.topology.values import Name

_NETWORK = "Which network it is on; needed only where the nodes share several"
_MATCH = "Only for these packets; others go as the link without `match` says"


class Ends(Model):
    """What all forms of a link share."""

    network: Name | None = key(_NETWORK, default=None, example="lan")
    selected: MatchKeys | None = key(_MATCH, alias="match", default=None, example={"protocol": "udp", "port": 53})

    @property
    def match(self) -> Match | None:
        """The packets that the link is for; None for those that no other line selects.

        Raises:
            ValueError: the keys contradict each other.
        """
        return self.selected.match if self.selected else None

    @property
    def _condition(self) -> str:
        return f" ({self.match})" if self.selected else ""


class PairEnds(Ends):
    """Both directions between two nodes."""

    between: Annotated[tuple[Name, ...], Field(min_length=2, max_length=2)] = key(
        "The two nodes; both directions", example=["client", "server"]
    )

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of each direction."""
        one, other = self.between
        return (one, other), (other, one)

    def __str__(self) -> str:
        return " <-> ".join(self.between) + self._condition


class DirectionEnds(Ends):
    """One direction between two nodes."""

    source: Name = key("The node that packets come from", alias="from", example="client")
    destination: Name = key("The node that packets go to", alias="to", example="server")

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of each direction."""
        return ((self.source, self.destination),)

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}{self._condition}"


class UplinkEnds(Ends):
    """A node's uplink: all that it sends on a network."""

    source: Name = key("The node whose uplink it is", alias="from", example="client")

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of its only direction."""
        return ((self.source, ANY_NODE),)

    def __str__(self) -> str:
        return f"{self.source} uplink{self._condition}"


class DownlinkEnds(Ends):
    """A node's downlink: all that it receives on a network."""

    destination: Name = key("The node whose downlink it is", alias="to", example="client")

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of its only direction."""
        return ((ANY_NODE, self.destination),)

    def __str__(self) -> str:
        return f"{self.destination} downlink{self._condition}"


LinkEnds = PairEnds | DirectionEnds | UplinkEnds | DownlinkEnds
"""What names links."""


class WireEnds(Model):
    """A wire: a cable between two nodes, and both directions over it."""

    wire: Annotated[tuple[Name, ...], Field(min_length=2, max_length=2)] = key(
        "The two nodes that a cable of their own connects; both directions", example=["r1", "r2"]
    )
    name: Name | None = key(
        "The wire's name, by which other keys call its network; `a-b` unless given", default=None, example="backbone"
    )
    families: Families | None = key(
        "The families of IP that it has: 4, 6 or both; those of the file unless given",
        alias="ip",
        default=None,
        example="both",
    )
    subnets: WireSubnets = key(
        "Its subnet, or one of each family; a /30 of 198.18.0.0/15 and a /127 of 2001:2::/48 unless given",
        alias="subnet",
        default=(),
    )

    selected: ClassVar[None] = None
    match: ClassVar[None] = None

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of each direction."""
        one, other = self.wire
        return (one, other), (other, one)

    @property
    def network(self) -> str:
        """The name of the network that the wire is."""
        return self.name or "-".join(self.wire)

    def __str__(self) -> str:
        return " <-> ".join(self.wire)


def tag(value: object) -> str:
    """Return the tag of the form that a mapping has."""
    if isinstance(value, dict):
        if "between" in value:
            return "<pair>"
        if ("from" in value) != ("to" in value):
            return "<uplink>" if "from" in value else "<downlink>"
    return "<direction>"


def link_tag(value: object) -> str:
    """Return the tag of the form that an entry of `links` has."""
    forms = (form for form in ("wire", "matrix") if isinstance(value, dict) and form in value)
    return next((f"<{form}>" for form in forms), tag(value))


AnyEnds = Annotated[
    Annotated[PairEnds, Tag("<pair>")]
    | Annotated[DirectionEnds, Tag("<direction>")]
    | Annotated[UplinkEnds, Tag("<uplink>")]
    | Annotated[DownlinkEnds, Tag("<downlink>")],
    Discriminator(tag),
]
