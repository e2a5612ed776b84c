"""The key `timeline` of the topology file: what changes at given times of a run."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from testbed.topology import ends
from testbed.topology.address_values import NEW, NatAddress
from testbed.topology.base import Model, key
from testbed.topology.ends import DirectionEnds, DownlinkEnds, PairEnds, UplinkEnds
from testbed.topology.event_times import Timed
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.node_events import (
    NODE_EVENTS,
    ClockEvent,
    CpusEvent,
    DiskEvent,
    DnsEvent,
    KillEvent,
    OfNode,
    PauseEvent,
    RestartEvent,
    StartEvent,
    StopEvent,
    UnpauseEvent,
)
from testbed.topology.problems import nearest, quote
from testbed.topology.values import Command, Flag, Name, SomeDuration

DARK = ImpairmentKeys(blackhole=True)
"""What a partition does to the links that it cuts."""


_LASTING = "How long this lasts, until links have the impairments under `links` again; until healed unless given"
_LINK = "The link that changes: `{between: [a, b]}`, `{from: a, to: b}`, or an end alone"


class ImpairmentChange(Timed, ImpairmentKeys):
    """A change of a link's impairments; keys that are not named stay as they are."""

    link: ends.AnyEnds = key(_LINK, example={"between": ["client", "server"]})
    lasting_ns: SomeDuration | None = key(_LASTING, alias="for", default=None)


class Flap(Timed):
    """A link that passes nothing for a while."""

    link: ends.AnyEnds = key("The link that goes down and comes up again", example={"between": ["client", "server"]})
    down_ns: SomeDuration = key("How long it is down; with `every`, again and again", alias="down")


class RampKeys(ImpairmentKeys):
    """What a link is like at the end of a gradual change, and how long that takes."""

    over_ns: SomeDuration = key("How long the change takes", alias="over")


class Ramp(Timed):
    """A gradual change of a link's impairments, from what they are to what it says."""

    link: ends.AnyEnds = key("The link that changes", example={"between": ["client", "server"]})
    ramp: RampKeys = key(
        "`{over: 5s, delay: 200ms}`: the values at the end, and how long the change takes",
        example={"over": "5s", "delay": "200ms"},
    )


_Group = Annotated[tuple[Name, ...], Field(min_length=1)]


class OneWay(Model):
    """Packets that are cut off in one direction."""

    source: _Group = key("The nodes whose packets do not arrive", alias="from", example=["server"])
    destination: _Group = key("The nodes where they do not arrive", alias="to", example=["client"])


class Partition(Timed):
    """A partition: nodes of different groups no longer reach each other."""

    partition: Annotated[
        Annotated[tuple[_Group, ...], Field(min_length=2), Tag("<groups>")] | Annotated[OneWay, Tag("<one-way>")],
        Discriminator(lambda value: "<one-way>" if isinstance(value, dict | OneWay) else "<groups>"),
    ] = key(
        "Groups of nodes, cut off from each other: `[[client], [server]]`; or in one direction: "
        "`{from: [client], to: [server]}`",
        example=[["client"], ["server"]],
    )

    lasting_ns: SomeDuration | None = key(_LASTING, alias="for", default=None)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups; of one direction the sources and the destinations."""
        cut = self.partition
        return (cut.source, cut.destination) if isinstance(cut, OneWay) else cut

    @property
    def is_one_way(self) -> bool:
        """Whether only packets from the first group to the second are lost."""
        return isinstance(self.partition, OneWay)

    def __str__(self) -> str:
        between = " -> " if self.is_one_way else " | "
        return f"partition {between.join(', '.join(group) for group in self.groups)}"


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


class RunKeys(Model):
    """A command in a node."""

    node: Name = key("The node, or a group of nodes", alias="in", example="server")
    command: Command = key("The program and its arguments; no shell interprets them")
    may_fail: Flag = key("Whether an exit status other than 0 is no incident", default=False)


class RunEvent(Timed):
    """A command that is started in a node."""

    run: RunKeys = key(
        "The command: `{in: client, command: [curl, -s, http://server/]}`",
        example={"in": "client", "command": "curl -s http://server/"},
    )


class Rebind(Timed):
    """A NAT that forgets its mappings, as a router that starts again: what goes on gets other ports outside.

    With `address`, it gets another address outside, too.
    """

    node: Name = key("The router", example="home")
    rebind: Literal[True] = key("`true`: its NAT forgets its mappings")
    address: NatAddress | None = key(
        "The address outside that it has from then on; `new`: one that no node has", default=None
    )
    network: Name | None = key(
        "The network outside with that address, where there are several", default=None, example="wan"
    )

    def __str__(self) -> str:
        address = "a new address" if self.address == NEW else f"the address {self.address}"
        return f"NAT of {self.node} rebinds{f' with {address}' if self.address else ''}"


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _alternating(field: FieldInfo) -> Any:  # noqa: ANN401  # an annotation and a field
    one: Any = field.annotation
    values = Annotated[tuple[one, ...], BeforeValidator(_listed)]
    return values, Field(default=(), alias=field.alias, description=f"{field.description}. A list: one after the other")


class Alternation(Timed):
    """A change of a link that happens again and again, with one of several values after the other.

    Its further keys are those of links, each with a list of values.
    """

    link: ends.AnyEnds = key(_LINK, example={"between": ["client", "server"]})

    @property
    def named(self) -> tuple[str, ...]:
        """The fields that it changes."""
        return tuple(name for name in ImpairmentKeys.model_fields if name in self.model_fields_set)

    def change(self, repetition: int) -> ImpairmentChange:
        """Return what changes at a repetition, from 0 on."""
        values = {name: getattr(self, name) for name in self.named}
        chosen = {name: found[repetition % len(found)] for name, found in values.items()}
        return ImpairmentChange.model_construct({*chosen}, at_ns=self.at_ns, link=self.link, **chosen)


_Alternation: Any = create_model(
    "Alternation",
    __base__=Alternation,
    __doc__=Alternation.__doc__,
    **{name: _alternating(field) for name, field in ImpairmentKeys.model_fields.items()},
)

Event = ImpairmentChange | RunEvent | Alternation | Flap | Ramp | Partition | Heal | Rebind | OfNode

_TAGS = ("partition", "heal", "rebind", "down", "ramp", "run", *NODE_EVENTS)


def _event_tag(value: object) -> str:
    named = value if isinstance(value, dict) else {}
    tag = next((f"<{key}>" for key in _TAGS if key in named), "<change>")
    values = [named.get(field.alias or name) for name, field in ImpairmentKeys.model_fields.items() if name != "drop"]
    alternates = tag == "<change>" and "every" in named and any(isinstance(value, list) for value in values)
    return "<alternation>" if alternates else tag


def _require_event(value: object) -> object:
    """Refuse a mapping that says neither which link changes nor what else happens."""
    if not isinstance(value, dict) or "link" in value or any(tag in value for tag in _TAGS):
        return value
    if "node" in value:
        allowed, said = ("rebind", *NODE_EVENTS), f"names node {quote(value['node'])}, and nothing that happens to it"
    elif not any((field.alias or name) in value for name, field in ImpairmentKeys.model_fields.items()):
        allowed, said = ("link", "node", "partition", "heal", "run"), "does not say what happens"
    else:
        return value
    others = [str(name) for name in value if name not in _TIMES]
    found = next((name for name in others if difflib.get_close_matches(name, allowed, 1)), "")
    raise PydanticCustomError("missing-key", "{said}", {"said": said, "hint": nearest(found, allowed, "events")})


_TIMES = {"node", *(field.alias or name for name, field in Timed.model_fields.items())}


AnyEvent = Annotated[
    Annotated[ImpairmentChange, Tag("<change>")]
    | Annotated[_Alternation, Tag("<alternation>")]
    | Annotated[Flap, Tag("<down>")]
    | Annotated[Ramp, Tag("<ramp>")]
    | Annotated[RunEvent, Tag("<run>")]
    | Annotated[Partition, Tag("<partition>")]
    | Annotated[Heal, Tag("<heal>")]
    | Annotated[Rebind, Tag("<rebind>")]
    | Annotated[PauseEvent, Tag("<pause>")]
    | Annotated[UnpauseEvent, Tag("<unpause>")]
    | Annotated[StopEvent, Tag("<stop>")]
    | Annotated[KillEvent, Tag("<kill>")]
    | Annotated[StartEvent, Tag("<start>")]
    | Annotated[RestartEvent, Tag("<restart>")]
    | Annotated[CpusEvent, Tag("<cpus>")]
    | Annotated[ClockEvent, Tag("<clock>")]
    | Annotated[DnsEvent, Tag("<dns>")]
    | Annotated[DiskEvent, Tag("<disk>")],
    Discriminator(_event_tag),
    BeforeValidator(_require_event),
]
