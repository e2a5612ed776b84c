"""The key `match`: the packets that a link is for."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from testbed.matching import DSCP_NAMES, PROTOCOLS, WITH_PORTS, Match, merged
from testbed.topology.base import Fault, Model, key
from testbed.topology.problems import nearest, quote
from testbed.topology.values import Reader, fault, text_of

_MOST_RANGES = 16
"""Of ports at one key: a rule of the kernel covers a range whose size is a power of two."""

_MOST_PORT, _MOST_PROTOCOL, _MOST_DSCP = 65535, 255, 63


def _unknown(text: str, what: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("unknown-value", "{said}", {"said": f"is {quote(text)}, which is {what}", "hint": hint})


def _protocol(value: object) -> int:
    text = text_of(value, "a protocol: its name or its number")
    if re.fullmatch(r"[0-9]{1,9}", text):
        if int(text) > _MOST_PROTOCOL:
            raise fault(f"is {text}, must be at most {_MOST_PROTOCOL}")
        return int(text)
    if text.lower() not in PROTOCOLS:
        hint = nearest(text.lower(), PROTOCOLS, "protocols with a name")
        raise _unknown(text, "not a protocol", f"{hint}; of others give the number")
    return PROTOCOLS[text.lower()]


def _dscp(value: object) -> int:
    text = text_of(value, "a DSCP: its name or its number")
    if re.fullmatch(r"[0-9]{1,9}", text):
        if int(text) > _MOST_DSCP:
            raise fault(f"is {text}, must be at most {_MOST_DSCP}", "of a TOS byte, it is the upper six bits")
        return int(text)
    if text.upper() not in DSCP_NAMES:
        raise _unknown(text, "not a DSCP", nearest(text.upper(), DSCP_NAMES, "names"))
    return DSCP_NAMES[text.upper()]


def _port_range(value: object) -> tuple[int, int]:
    text = text_of(value, "a port")
    if not (found := re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)):
        raise fault(f"is {quote(text)}, which is not a port", "write it like 53, 1024-2047 or [53, 5353]")
    first, last = int(found[1]), int(found[2] or found[1])
    if first < 1 or last > _MOST_PORT:
        raise fault(f"is {text}, must be from 1 to {_MOST_PORT}")
    if first > last:
        raise fault(f"is {text}, which begins behind its end")
    return first, last


def _ports_tag(value: object) -> str:
    return "<several>" if isinstance(value, list) else "<one>"


_PORT = {"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]+(-[0-9]+)?$"}
_Protocol = Annotated[int, Reader(_protocol, {"type": ["string", "integer"], "examples": [*PROTOCOLS]})]
_Dscp = Annotated[int, Reader(_dscp, {"type": ["string", "integer"], "examples": [*DSCP_NAMES]})]
_PortRange = Annotated[tuple[int, int], Reader(_port_range, {**_PORT, "examples": [53, "1024-2047"]})]
_Ports = Annotated[
    Annotated[_PortRange, Tag("<one>")]
    | Annotated[tuple[_PortRange, ...], Tag("<several>"), Field(min_length=1, max_length=_MOST_RANGES)],
    Discriminator(_ports_tag),
]


class MatchKeys(Model):
    """The packets that a link is for; all that is named must hold."""

    protocol: _Protocol | None = key("Protocol of IP: its name, such as udp, or its number", default=None)
    port: _Ports | None = key("TCP or UDP port, of source or destination: a port, a range, or a list", default=None)
    source_port: _Ports | None = key("Port that a packet comes from", default=None)
    destination_port: _Ports | None = key("Port that a packet goes to", default=None)
    dscp: _Dscp | None = key("Differentiated services codepoint: its name, such as EF, or 0 to 63", default=None)

    def faults(self) -> Iterator[Fault]:
        """Yield the contradictions between the keys."""
        if not self.model_fields_set:
            yield Fault((), "missing-key", "names nothing", "say which packets, such as {protocol: udp, port: 53}")
        ports = [name for name in ("port", "source_port", "destination_port") if getattr(self, name) is not None]
        if ports[:1] == ["port"]:
            for name in ports[1:]:
                yield Fault((name,), "conflicting-keys", "is given beside port, which is either", "keep one of them")
        if self.protocol is not None and self.protocol not in WITH_PORTS:
            for name in ports:
                said = f"is given, and {Match(protocol=self.protocol)} has no ports"
                yield Fault((name,), "conflicting-keys", said, "leave one of them out")

    @property
    def match(self) -> Match:
        """What they select.

        Raises:
            ValueError: there are `faults`.
        """
        return Match(
            protocol=self.protocol,
            port=_ranges(self.port),
            source_port=_ranges(self.source_port),
            destination_port=_ranges(self.destination_port),
            dscp=self.dscp,
        )


def _ranges(ports: tuple[int, int] | tuple[tuple[int, int], ...] | None) -> tuple[tuple[int, int], ...]:
    several: list[tuple[int, int]] = []
    match ports:
        case (int(first), int(last)):
            several.append((first, last))
        case tuple():
            several += [each for each in ports if isinstance(each, tuple)]
    return merged(several)
