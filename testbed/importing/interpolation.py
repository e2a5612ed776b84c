"""Variables in values: `${TAG:-latest}` (https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+=])(?P<other>[^{}]*))?\}|(?P<bad>))"
)


class MissingVariableError(ValueError):
    """A variable is required, and not set."""


class Use(NamedTuple):
    """The use of a variable: its name, and what it stood for: `value`, `default` or `nothing`."""

    name: str
    stood_for: str


def interpolated(text: str, variables: Mapping[str, str], used: Callable[[Use], None]) -> str:
    """Return text with values in the place of variables.

    Args:
        text: with `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?error}`, `${NAME:+other}`, also without colons;
            containerlab has `${NAME:=default}` too. `$$` is a dollar.
        variables: the values.
        used: called for each use of a variable.

    Raises:
        MissingVariableError: a variable with `?` is not set.
        ValueError: a `$` begins none of these.
    """

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["bad"] is not None:
            raise ValueError("a $ begins no variable here; nested ones are not read")
        name, how, other = found["plain"] or found["name"], found["how"] or "", found["other"] or ""
        given = variables.get(name)
        is_set = bool(given) if how.startswith(":") else given is not None
        if how.endswith("+"):
            used(Use(name, "value" if is_set else "default"))
            return other if is_set else ""
        if is_set:
            used(Use(name, "value"))
            return given or ""
        if how.endswith("?"):
            raise MissingVariableError(f"{name} is not set: {other or 'it is required'}")
        used(Use(name, "default" if how else "nothing"))
        return other

    return _VARIABLE.sub(value, text)
