"""The kinds of NAT by the names of RFC 3489, and the behaviour of each in the words of RFC 4787."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

INDEPENDENT: Final = "endpoint-independent"
ADDRESS: Final = "address-dependent"
ADDRESS_AND_PORT: Final = "address-and-port-dependent"

SYMMETRIC: Final = "symmetric"

DRAWN_PORTS = range(49_152, 61_000)
"""The ports outside that a NAT gives away: dynamic ones (RFC 6335, section 6), below those of the check's probes. The
kernel draws them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A static mapping of a NAT: what comes to a port outside goes to a node inside, from any sender.

    Attributes:
        port: outside.
        node: inside.
        node_port: of the node.
        protocol: `tcp` or `udp`.
    """

    OMIT_DEFAULTS: ClassVar = True

    port: int
    node: str
    node_port: int
    protocol: str = "tcp"


class Behaviour(NamedTuple):
    """How a NAT treats UDP.

    Attributes:
        mapping: which remote endpoints share the port outside that a socket inside is given (RFC 4787, 4.1).
        filtering: which remote endpoints reach that socket by its port outside (RFC 4787, 5).
    """

    mapping: str
    filtering: str

    def __str__(self) -> str:
        return f"mapping {self.mapping}, filtering {self.filtering}"


KINDS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "full-cone": Behaviour(INDEPENDENT, INDEPENDENT),
        "address-restricted": Behaviour(INDEPENDENT, ADDRESS),
        "port-restricted": Behaviour(INDEPENDENT, ADDRESS_AND_PORT),
        SYMMETRIC: Behaviour(ADDRESS_AND_PORT, ADDRESS_AND_PORT),
    }
)
"""The kinds of RFC 3489, section 5. Most routers at home are port-restricted, many of mobile networks symmetric."""
