"""The condition of a link that is only for some packets: protocol, ports, DSCP."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132, "udplite": 136}
)
"""Names of protocols, by IANA's "Protocol Numbers"."""

WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "dccp", "sctp", "udplite"))
"""The protocols whose header begins with source and destination port."""

PORTS_ALONE = (PROTOCOLS["tcp"], PROTOCOLS["udp"])
"""The protocols that a port is of where no protocol is given."""

_AF = {f"AF{level}{drop}": 8 * level + 2 * drop for level in (1, 2, 3, 4) for drop in (1, 2, 3)}
DSCP_NAMES: Mapping[str, int] = MappingProxyType(
    {"DF": 0, "LE": 1, **{f"CS{level}": 8 * level for level in range(8)}, **_AF, "EF": 46, "VA": 44}
)
"""Names of DSCPs: RFC 2474 (DF, CS0-CS7), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VA), RFC 8622 (LE)."""

_NAMES_OF_DSCPS = {number: name for name, number in reversed([*DSCP_NAMES.items()])}
_NAMES_OF_PROTOCOLS = {number: name for name, number in PROTOCOLS.items()}

MOST_PORT, MOST_PROTOCOL, MOST_DSCP = 0xFFFF, 0xFF, 0x3F

Ports = tuple[tuple[int, int], ...]
"""Ranges of ports, each with its first and its last, ascending and apart; empty for any port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Selects IP packets; all its conditions must hold.

    Attributes:
        protocol: IP protocol number; None for any, or with ports for TCP and UDP. Of IPv6 the next header.
        port: source or destination port.
        source_port, destination_port: either or both, without `port`.
        dscp: differentiated services codepoint (RFC 2474); None for any.

    Raises:
        ValueError: a number is out of range, ports are not ascending and apart, or the protocol has no ports.
    """

    OMIT_DEFAULTS: ClassVar = True

    protocol: int | None = None
    port: Ports = ()
    source_port: Ports = ()
    destination_port: Ports = ()
    dscp: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        if self.protocol is None and self.dscp is None and not self.has_ports:
            raise ValueError("a match without a condition")
        if self.protocol is not None and not 0 <= self.protocol <= MOST_PROTOCOL:
            raise ValueError(f"{self.protocol} is no protocol number")
        if self.dscp is not None and not 0 <= self.dscp <= MOST_DSCP:
            raise ValueError(f"{self.dscp} is no DSCP")
        if self.has_ports and self.protocol is not None and self.protocol not in WITH_PORTS:
            raise ValueError(f"protocol {self.protocol} has no ports")
        if self.port and (self.source_port or self.destination_port):
            raise ValueError("a port beside a source or destination port")
        for ports in (self.port, self.source_port, self.destination_port):
            if merged(ports) != ports or any(not 0 <= port <= MOST_PORT for each in ports for port in each):
                raise ValueError(f"{ports} are no ports, ascending and apart")

    @property
    def has_ports(self) -> bool:
        """Whether a condition is about ports."""
        return bool(self.port or self.source_port or self.destination_port)

    @property
    def protocols(self) -> tuple[int, ...]:
        """The protocol numbers that it selects; empty for all."""
        if self.protocol is not None:
            return (self.protocol,)
        return PORTS_ALONE if self.has_ports else ()

    def __str__(self) -> str:
        """The match in words, the same for equal matches: `udp port 53`, `dscp EF`."""
        words = []
        if self.protocol is not None:
            words.append(_NAMES_OF_PROTOCOLS.get(self.protocol, f"protocol {self.protocol}"))
        named = {"port": self.port, "source port": self.source_port, "destination port": self.destination_port}
        words += [f"{name} {_written(ports)}" for name, ports in named.items() if ports]
        if self.dscp is not None:
            words.append(f"dscp {_NAMES_OF_DSCPS.get(self.dscp, self.dscp)}")
        return " ".join(words)


def merged(ports: Iterable[tuple[int, int]]) -> Ports:
    """Return ranges of ports in ascending order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ports):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


def _written(ports: Ports) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ports)
