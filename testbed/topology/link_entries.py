"""The entries of `links`."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from testbed.topology import ends
from testbed.topology.base import key
from testbed.topology.ends import DirectionEnds, DownlinkEnds, Ends, PairEnds, UplinkEnds, WireEnds
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.matrices import MatrixValue
from testbed.topology.problems import nearest
from testbed.topology.profiles import PROFILES
from testbed.topology.values import Engine, Mtu, Name, Reader, describe

Cost = Annotated[int, Field(strict=True, ge=1, le=65535)]


def _profile(value: object) -> str:
    if not isinstance(value, str) or value not in PROFILES:
        message = f"{describe(value)}, which is not a profile"
        hint = nearest(str(value), PROFILES, "profiles")
        raise PydanticCustomError("unknown-profile", "{said}", {"said": message, "hint": hint})
    return value


ProfileName = Annotated[str, Reader(_profile, {"enum": list(PROFILES)})]


class LinkKeys(ImpairmentKeys):
    """The keys that all forms of a link share."""

    profile: ProfileName | None = key(
        "An impairment by name; keys given beside it replace its own", default=None, example="lte"
    )
    engine: Engine | None = key(
        "What carries out the impairments; the topology's engine unless given", default=None, example="userspace"
    )
    cost: Cost | None = key("Cost of this hop when routes are computed; 1 unless given", default=None, example=10)

    @property
    def impairment_keys(self) -> ImpairmentKeys:
        """The keys of the profile, overridden by the link's own."""
        base = PROFILES[self.profile] if self.profile else ImpairmentKeys()
        return base.overridden_by(self)

    def keys_between(self, source: str, destination: str) -> ImpairmentKeys:  # noqa: ARG002  # of a matrix
        """Return the keys for the direction from one of the named ends to another."""
        return self.impairment_keys


class Pair(PairEnds, LinkKeys):
    """Both directions between two nodes."""


class Direction(DirectionEnds, LinkKeys):
    """One direction between two nodes; it replaces a `between` for this direction."""


class Uplink(UplinkEnds, LinkKeys):
    """All that a node sends, in one queue: it comes before the links to other nodes."""


class Downlink(DownlinkEnds, LinkKeys):
    """All that a node receives, in one queue: it comes after the links from other nodes."""


class MatrixLinks(Ends, LinkKeys):
    """All links between nodes or groups, and within groups, from a table."""

    between: Annotated[tuple[Name, ...], Field(min_length=1)] = key(
        "The nodes or groups; all links between them and within each group", example=["eu", "us"]
    )
    matrix: MatrixValue = key("CSV file with the delay from each of them to each: `80ms`, or `80ms 0.1% 100mbit`")

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The source and destination of each direction for which the matrix has a value."""
        pairs = ((source, destination) for source in self.between for destination in self.between)
        return tuple(pair for pair in pairs if pair in self.matrix.cells)

    def keys_between(self, source: str, destination: str) -> ImpairmentKeys:
        """Return the link's own keys, overridden by those of the matrix."""
        return self.impairment_keys.overridden_by(self.matrix.cells[source, destination])


class Wire(WireEnds, LinkKeys):
    """A cable of their own between two nodes, with the impairments of both directions."""

    mtu: Mtu = key("Bytes of the largest IP packet", default=1500)


LinkEntry = Pair | Direction | Uplink | Downlink | MatrixLinks | Wire
"""An entry of `links`."""

AnyLink = Annotated[
    Annotated[Pair, Tag("<pair>")]
    | Annotated[Direction, Tag("<direction>")]
    | Annotated[Uplink, Tag("<uplink>")]
    | Annotated[Downlink, Tag("<downlink>")]
    | Annotated[MatrixLinks, Tag("<matrix>")]
    | Annotated[Wire, Tag("<wire>")],
    Discriminator(ends.link_tag),
]
