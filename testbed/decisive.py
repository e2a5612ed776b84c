"""The part of a plan that decides its behaviour, declared by metadata on the fields of the plan's types.

A field decides unless it says otherwise, so that a new one is never forgotten. What is not stored decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from testbed import codec

if TYPE_CHECKING:
    from collections.abc import Callable

_ROLE = "decides"

NOT_DECISIVE: Mapping[str, str] = MappingProxyType({_ROLE: "nothing"})
"""It is for people to read, it says what is recorded or expected, or it follows from another field."""

ADDRESS: Mapping[str, str] = MappingProxyType({_ROLE: "address"})
"""In an allocated subnet, only its position in there decides: the subnet may be another next time."""

SEED: Mapping[str, str] = MappingProxyType({_ROLE: "seed"})
"""It decides what is random. Runs of plans that differ in nothing else are repetitions."""

ADDED: Mapping[str, str] = MappingProxyType({_ROLE: "unless default"})
"""It came after the first release: with its default it is left out, so that plans without it keep their digests."""


ADDED_ADDRESS: Mapping[str, str] = MappingProxyType({_ROLE: "address unless default"})
"""It is an address, as `ADDRESS`, and came after the first release, as `ADDED`."""


def decisive(value: Any, place: Callable[[str], str | int], *, seeds: bool = True) -> Any:  # noqa: ANN401  # any part
    """Return the decisive part of a plan, or of a part of a plan, as JSON.

    Args:
        value: the plan or the part.
        place: what of an address decides.
        seeds: with those.
    """
    if isinstance(value, tuple):
        return [decisive(part, place, seeds=seeds) for part in value]
    if isinstance(value, Mapping):
        return {key: decisive(part, place, seeds=seeds) for key, part in value.items()}
    if isinstance(value, codec.Variant):
        names = [name for name in value.__struct_fields__ if name not in value.NOT_DECISIVE]
        return {"kind": value.kind} | {name: decisive(getattr(value, name), place, seeds=seeds) for name in names}
    if not is_dataclass(value):
        return value
    kept = {}
    for member in fields(value):
        part, role = getattr(value, member.name), member.metadata.get(_ROLE)
        added = role in ("unless default", "address unless default")
        may_omit = added or getattr(type(value), "OMIT_DEFAULTS", False)
        is_left_out = role == "nothing" or (role == "seed" and not seeds) or (may_omit and part == member.default)
        if codec.is_stored(member) and not is_left_out:
            kept[member.name] = (
                place(part) if role and role.startswith("address") else decisive(part, place, seeds=seeds)
            )
    return kept
