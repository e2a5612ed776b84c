"""The keys of nodes that concern routing: `router`, with its NAT and its firewall, and `routes`."""

import re
from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from testbed.families import Address, Subnet
from testbed.nat import DRAWN_PORTS, KINDS, Forward
from testbed.topology.base import Model, key
from testbed.topology.problems import quote
from testbed.topology.values import Name, Reader, SomeDuration, fault, text_of, wrong_type

if TYPE_CHECKING:
    NatKind = str
else:  # for pydantic; type checkers only know literals that are written out
    NatKind = Literal[tuple(KINDS)]

SECOND = 1_000_000_000

DEFAULT = "default"
"""The destination of a route for everything that no other route is for."""


Inside = Annotated[tuple[Name, ...], Field(min_length=1)]


_FORWARD = re.compile(r"([0-9]{1,5}):([^:/]+):([0-9]{1,5})(?:/(tcp|udp))?")
_MOST_PORT = 65_535


def _forward(value: object) -> Forward:
    text, hint = text_of(value, "a forwarded port"), 'write it like "8080:server:80" or "53:dns:53/udp"'
    match = _FORWARD.fullmatch(text)
    if match is None:
        raise fault(f"is {quote(text)}, which is not PORT:NODE:PORT[/tcp or /udp]", hint)
    port, node_port = int(match[1]), int(match[3])
    for number in (port, node_port):
        if not 1 <= number <= _MOST_PORT:
            raise fault(f"is {quote(text)}, and {number} is not a port: 1 to {_MOST_PORT}", hint)
    if port in DRAWN_PORTS:
        drawn = f"{DRAWN_PORTS.start} to {DRAWN_PORTS.stop - 1}"
        raise fault(f"is {quote(text)}, and the NAT gives the ports {drawn} to mappings", "take another port outside")
    return Forward(port=port, node=match[2], node_port=node_port, protocol=match[4] or "tcp")


ForwardValue = Annotated[
    Forward,
    Reader(_forward, {"type": "string", "pattern": _FORWARD.pattern, "examples": ["8080:server:80", "53:dns:53/udp"]}),
]


class NatKeys(Model):
    """Network address translation between the networks inside of a router and its other ones."""

    inside: Inside = key("The networks and wires inside; all others are outside", example=["home"])
    kind: NatKind = key("How it maps and filters, by the names of RFC 3489", default="port-restricted")
    timeout_ns: SomeDuration = key(
        "How long a mapping of UDP lasts without packets", alias="timeout", default=30 * SECOND, written="30s"
    )
    hairpin: Annotated[bool, Field(strict=True)] = key(
        "Whether nodes inside reach each other by their addresses outside", default=False
    )

    forward: tuple[ForwardValue, ...] = key(
        "Ports outside that lead to a node inside, for packets from anywhere: PORT:NODE:PORT", default=()
    )


class FirewallKeys(Model):
    """A stateful firewall: connections are opened from inside only."""

    inside: Inside = key("The networks and wires that may open connections to the others", example=["home"])
    policy: Literal["drop", "reject"] = key(
        "What becomes of other packets: dropped, or rejected with an error to their sender", default="drop"
    )
    icmp: Literal["pass", "drop"] = key(
        "What becomes of ICMP errors about connections, path MTU discovery's among them", default="pass"
    )


class RouterKeys(Model):
    """A node that forwards packets between its networks."""

    routing: Literal["computed", "none"] = key(
        "`computed`: its routes are the shortest paths; `none`: they are left to the node's own daemon",
        default="computed",
    )
    nat: NatKeys | None = key(
        "Translation of the addresses of networks inside",
        default=None,
        example={"inside": ["home"], "kind": "port-restricted"},
    )
    firewall: FirewallKeys | None = key(
        "A stateful firewall around networks inside", default=None, example={"inside": ["home"], "policy": "reject"}
    )

    @property
    def hidden(self) -> Collection[str]:
        """The networks inside of its NAT, to which there are no routes outside."""
        return self.nat.inside if self.nat else ()


class _Switch:
    """Annotates an optional model: `true` stands for the model's defaults, `false` for none."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read `true` as an empty mapping."""
        return core_schema.no_info_before_validator_function(_switched, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of either form."""
        return {"anyOf": [{"type": "boolean"}, handler(schema)]}


def _switched(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    if value is not None and not isinstance(value, dict | Model):
        raise wrong_type(value, "true, false or a mapping")
    return value


RouterValue = Annotated[RouterKeys | None, _Switch()]


def _target(value: object) -> str:
    text = text_of(value, "a destination")
    if "/" not in text:
        return text
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise fault(f"is wrong: {error}", "write it like 198.51.100.0/24 or 2001:2:0:7::/64") from None


def _next_hop(value: object) -> str:
    return text_of(value, "a node or an address")


class StaticRoute(Model):
    """A route of a node that the file gives. It takes the place of a computed one to the same destination."""

    to: Annotated[str, Reader(_target, {"type": "string", "examples": ["default", "lan", "198.51.100.0/24"]})] = key(
        "Where it leads: `default`, a network's or wire's name, or a subnet"
    )
    via: Annotated[str, Reader(_next_hop, {"type": "string", "examples": ["r1", "198.18.1.254"]})] = key(
        "The next hop: a node that shares a network with this one, or an address"
    )


def as_address(text: str) -> Address | None:
    """Return the address that a next hop is, or None if it is a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def as_subnet(text: str) -> Subnet | None:
    """Return the subnet that a destination is, or None if it is a name or `default`."""
    return ip_network(text) if "/" in text else None
