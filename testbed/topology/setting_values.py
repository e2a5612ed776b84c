"""The values of the keys `dns` and `disk` of an event: what is wrong with a name, or a disk, of a node."""

import posixpath
import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from testbed import faults, units
from testbed.topology.base import Model, Short, key
from testbed.topology.problems import quote
from testbed.topology.service_values import OneOrMany
from testbed.topology.values import NAME_PATTERN, Reader, SomeDuration, fault, matching, text_of

_BITS = 8
_LEAST_BPS = 8 * 4096
"""A page of memory, the least that is read or written at once, in a second."""

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HostName = Annotated[
    str, matching(rf"^(\*|{_LABEL}(\.{_LABEL}){{0,30}})$", "a name that programs look up, or *", "api.example.org")
]


def _path(value: object) -> str:
    text = text_of(value, "a path")
    if not re.fullmatch(_PATH, text):
        raise fault(f"is {quote(text)}, which is not a path in the node", "write it like /data")
    return posixpath.normpath(text).replace("//", "/")


_PATH = r"^/[^\x00-\x1f]{0,1000}$"
NodePath = Annotated[str, Reader(_path, {"type": "string", "pattern": _PATH, "examples": ["/data"]})]


def _answer(value: object) -> str:
    text = text_of(value, "an address, or a node")
    try:
        return str(ip_address(text))
    except ValueError:
        if not re.fullmatch(NAME_PATTERN, text):
            hint = "write it like 198.18.7.10, 2001:2:0:7::10 or db-2"
            raise fault(f"is {quote(text)}, which is neither an address nor a node's name", hint) from None
        return text


def _rate(value: object) -> int:
    text = text_of(value, units.RATE.noun)
    if text == _UNLIMITED:
        return 0
    try:
        rate_bps = units.RATE.parse(text)
    except ValueError as error:
        raise fault(f"is wrong: {error}", f"write it like 80mbit, or: {_UNLIMITED}") from None
    if rate_bps < _LEAST_BPS:
        least = units.RATE.format(_LEAST_BPS)
        raise fault(f"is {quote(text)}, must be at least {least}", f"ask for more, or: {_UNLIMITED}")
    return rate_bps


_UNLIMITED = "unlimited"
_STRINGS: dict[str, Any] = {"type": "string"}
_ANSWER = {**_STRINGS, "examples": ["198.18.7.10", "db-2"]}
Answer = Annotated[str, Reader(_answer, _ANSWER)]
DiskRate = Annotated[int, Reader(_rate, {**_STRINGS, "examples": ["80mbit", _UNLIMITED]})]


class DnsKeys(Model):
    """What is wrong with a name."""

    name: HostName = key("The name that programs look up; `*` is all that have no fault of their own")
    fails: Literal["nxdomain", "servfail", "timeout"] | None = key(
        "`nxdomain`: there is no such name; `servfail`: the name server has failed; `timeout`: nothing answers",
        default=None,
        example="servfail",
    )
    slow_ns: SomeDuration | None = key("How much later it is answered", alias="slow", default=None)
    answer: Annotated[tuple[Answer, ...], Field(min_length=1), OneOrMany(_ANSWER)] = key(
        "Where it leads instead: an address, or a node, or several", default=(), example="198.18.7.10"
    )
    heal: Literal[True] | None = key("`true`: it leads to where it led before", default=None)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("fails", "slow_ns", "answer", "heal") if getattr(self, name)]
        if len(given) > 1:
            named = " and ".join("slow" if name == "slow_ns" else name for name in given)
            raise fault(f"has {named}, which exclude each other", "say one of them")
        return self

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node: unless something else is said, the name does not exist."""
        if self.heal:
            return faults.NameWorks(node=node, name=self.name)
        if self.slow_ns:
            return faults.NameSlow(node=node, name=self.name, delay_ns=self.slow_ns)
        if self.answer:
            return faults.NameLies(node=node, name=self.name, answers=self.answer)
        return faults.NameFails(node=node, name=self.name, how=self.fails or "nxdomain")


class Disk(Model):
    """What is wrong with a disk."""

    path: NodePath = key("A directory of the node; what is meant is the file system that it is on")
    full: bool | None = key(
        "`true`, which is meant if nothing else is said: it takes no more than it has; `false`: as before",
        default=None,
        example=True,
    )
    rate_bps: DiskRate | None = key(
        "How fast the node reads it, and how fast it writes it, at most; `unlimited`: as before",
        alias="rate",
        default=None,
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.full is not None and self.rate_bps is not None:
            raise fault("has full and rate, which are two faults", "write an event for each")
        return self

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node: unless something else is said, the disk is full."""
        if self.rate_bps is None:
            return faults.FillDisk(node=node, path=self.path, full=self.full is not False)
        return faults.SlowDisk(node=node, path=self.path, bytes_per_s=self.rate_bps // _BITS)


DnsValue = Annotated[DnsKeys, Short("name", {**_STRINGS, "examples": ["api"]})]
DiskValue = Annotated[Disk, Short("path", {**_STRINGS, "examples": ["/data"]})]
