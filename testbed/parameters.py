"""What the parameters of a kind of workload may be.

These classes are NamedTuples because each endpoint process makes them: a dataclass takes seven times as long, 1 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Integer(NamedTuple):
    """An integer within bounds, both included."""

    least: int = 1
    most: int = (1 << 63) - 1
    required: bool = True

    def problem(self, value: object) -> str | None:
        """What the value has to be, or None where it is that."""
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most:
            return None
        return f"an integer from {self.least} to {self.most}"


class Text(NamedTuple):
    """A text that is not empty; one of `choices` where there are any."""

    choices: tuple[str, ...] = ()
    required: bool = True

    def problem(self, value: object) -> str | None:
        """What the value has to be, or None where it is that."""
        if isinstance(value, str) and value and (not self.choices or value in self.choices):
            return None
        return f"one of {', '.join(self.choices)}" if self.choices else "a text"


class Texts(NamedTuple):
    """At least one text, each of any length."""

    required: bool = True

    def problem(self, value: object) -> str | None:
        """What the value has to be, or None where it is that."""
        if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
            return None
        return "a list of texts"


class Flag(NamedTuple):
    """True or false."""

    required: bool = True

    def problem(self, value: object) -> str | None:
        """What the value has to be, or None where it is that."""
        return None if isinstance(value, bool) else "true or false"


Parameters = Mapping[str, Integer | Text | Texts | Flag]
"""The parameters of a kind, by their names in the plan."""

CONGESTION = Text(required=False)
TLS = Flag(required=False)
COUNT = Integer(most=(1 << 32) - 1)


DATAGRAM = Integer(least=12, most=65507)
"""Bytes of payload of a datagram: at least its header (`testbed.endpoint.udp.HEADER`), at most what IPv4 carries."""


def problem(kind: str, given: Mapping[str, Any], allowed: Parameters, *, one_of: frozenset[str]) -> str | None:
    """What is wrong with parameters, with what was found and what is allowed; None where nothing is.

    Args:
        kind: whose they are.
        given: what the spec says.
        allowed: what there may be.
        one_of: of these exactly one has to be there, if there are any.
    """
    for name in given:
        if name not in allowed:
            return f"{kind} has no parameter {name!r}; it has {', '.join(allowed)}"
    for name, form in allowed.items():
        if name not in given:
            if form.required:
                return f"{kind} needs {name}, {form.problem(None)}"
        elif expected := form.problem(given[name]):
            return f"{name} is {given[name]!r}; it has to be {expected}"
    if one_of and len(given.keys() & one_of) != 1:
        return f"{kind} needs one of {' and '.join(sorted(one_of))}; found {dict(given)}"
    return None
