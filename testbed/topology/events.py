"""The key `timeline` of the topology file: what changes at given times of a run."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from testbed.topology import ends
from testbed.topology.base import key
from testbed.topology.ends import DirectionEnds, DownlinkEnds, PairEnds, UplinkEnds
from testbed.topology.event_times import Timed
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.node_events import (
    NODE_EVENTS,
    KillEvent,
    OfNode,
    PauseEvent,
    RestartEvent,
    StartEvent,
    StopEvent,
    UnpauseEvent,
)
from testbed.topology.values import Name

DARK = ImpairmentKeys(blackhole=True)
"""What a partition does to the links that it cuts."""


class ImpairmentChange(Timed, ImpairmentKeys):
    """A change of a link's impairments; keys that are not named stay as they are."""

    link: ends.AnyEnds = key("The link that changes: `{between: [a, b]}`, `{from: a, to: b}`, or an end alone")

    @property
    def named(self) -> tuple[str, ...]:
        """The keys that it changes."""
        fields = ImpairmentKeys.model_fields.items()
        return tuple(field.alias or name for name, field in fields if name in self.model_fields_set)


class Partition(Timed):
    """A partition: nodes of different groups no longer reach each other."""

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


class Heal(Timed):
    """The end of a change: links have the impairments under `links` again."""

    heal: Healed = key("`all`, or the link: `{between: [a, b]}`, `{from: a, to: b}`, or an end alone")

    def __str__(self) -> str:
        return f"heal {self.heal}"


class Rebind(Timed):
    """A NAT that forgets its mappings, as a router that starts again: what goes on gets other ports outside."""

    node: Name = key("The router")
    rebind: Literal[True] = key("That its NAT forgets its mappings")

    def __str__(self) -> str:
        return f"NAT of {self.node} rebinds"


Event = ImpairmentChange | Partition | Heal | Rebind | OfNode

_TAGS = ("partition", "heal", "rebind", *NODE_EVENTS)


def _event_tag(value: object) -> str:
    named = value if isinstance(value, dict) else {}
    return next((f"<{key}>" for key in _TAGS if key in named), "<change>")


AnyEvent = Annotated[
    Annotated[ImpairmentChange, Tag("<change>")]
    | Annotated[Partition, Tag("<partition>")]
    | Annotated[Heal, Tag("<heal>")]
    | Annotated[Rebind, Tag("<rebind>")]
    | Annotated[PauseEvent, Tag("<pause>")]
    | Annotated[UnpauseEvent, Tag("<unpause>")]
    | Annotated[StopEvent, Tag("<stop>")]
    | Annotated[KillEvent, Tag("<kill>")]
    | Annotated[StartEvent, Tag("<start>")]
    | Annotated[RestartEvent, Tag("<restart>")],
    Discriminator(_event_tag),
]
