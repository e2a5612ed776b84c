"""The key `timeline` of the topology file: what changes at given times of a run."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from testbed.topology import ends
from testbed.topology.base import Model, key
from testbed.topology.ends import DirectionEnds, DownlinkEnds, PairEnds, UplinkEnds
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.values import Duration, Name

DARK = ImpairmentKeys(blackhole=True)
"""What a partition does to the links that it cuts."""

_AT = "Time of the event, from the start of the first workload"


class ImpairmentChange(ImpairmentKeys):
    """A change of a link's impairments; keys that are not named stay as they are."""

    at_ns: Duration = key(_AT, alias="at")
    link: ends.AnyEnds = key("The link that changes: `{between: [a, b]}`, `{from: a, to: b}`, or an end alone")

    @property
    def named(self) -> tuple[str, ...]:
        """The keys that it changes."""
        fields = ImpairmentKeys.model_fields.items()
        return tuple(field.alias or name for name, field in fields if name in self.model_fields_set)


class Partition(Model):
    """A partition: nodes of different groups no longer reach each other."""

    at_ns: Duration = key(_AT, alias="at")
    partition: Annotated[tuple[Annotated[tuple[Name, ...], Field(min_length=1)], ...], Field(min_length=2)] = key(
        "Groups of nodes, cut off from each other: `[[client], [server]]`"
    )

    def __str__(self) -> str:
        return f"partition {' | '.join(', '.join(group) for group in self.partition)}"


def _heal_tag(value: object) -> str:
    return ends.tag(value) if isinstance(value, dict) else "<all>"


Healed = Annotated[
    Annotated[Literal["all"], Tag("<all>")]
    | Annotated[PairEnds, Tag("<pair>")]
    | Annotated[DirectionEnds, Tag("<direction>")]
    | Annotated[UplinkEnds, Tag("<uplink>")]
    | Annotated[DownlinkEnds, Tag("<downlink>")],
    Discriminator(_heal_tag),
]


class Heal(Model):
    """The end of a change: links have the impairments under `links` again."""

    at_ns: Duration = key(_AT, alias="at")
    heal: Healed = key("`all`, or the link: `{between: [a, b]}`, `{from: a, to: b}`, or an end alone")

    def __str__(self) -> str:
        return f"heal {self.heal}"


class Rebind(Model):
    """A NAT that forgets its mappings, as a router that starts again: what goes on gets other ports outside."""

    at_ns: Duration = key(_AT, alias="at")
    node: Name = key("The router")
    rebind: Literal[True] = key("That its NAT forgets its mappings")

    def __str__(self) -> str:
        return f"NAT of {self.node} rebinds"


Event = ImpairmentChange | Partition | Heal | Rebind


def _event_tag(value: object) -> str:
    named = value if isinstance(value, dict) else {}
    return next((f"<{key}>" for key in ("partition", "heal", "rebind") if key in named), "<change>")


AnyEvent = Annotated[
    Annotated[ImpairmentChange, Tag("<change>")]
    | Annotated[Partition, Tag("<partition>")]
    | Annotated[Heal, Tag("<heal>")]
    | Annotated[Rebind, Tag("<rebind>")],
    Discriminator(_event_tag),
]
