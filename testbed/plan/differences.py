"""How two plans differ, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from testbed import codec
from testbed.impairments import Impairments
from testbed.matching import LinkKey, Match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.plan.model import Plan

_ADDRESSES = ("address", "gateway", "subnet")
_SEED = "seed"

ABSENT = "absent"
_PRESENT = "present"


def plan_differences(one: Plan, other: Plan) -> list[tuple[str, str, str]]:
    """Return each difference with both values: `("links.a -> b on lan.impairments", "loss 1 %", "loss 2 %")`.

    Fields that decide nothing are ignored, see `testbed.decisive`. An item that one plan lacks is one difference, and
    so is the seed from which all others derive. Addresses are listed only if nothing else differs, because they move
    when a node is added.
    """
    left, right = dict(_flat(one.decisive(), "")), dict(_flat(other.decisive(), ""))
    differences: list[tuple[str, str, str]] = []
    addresses: list[tuple[str, str, str]] = []
    lacking: list[str] = []
    for path in dict.fromkeys((*left, *right)):
        exact, shown = zip(left.get(path, (ABSENT, ABSENT)), right.get(path, (ABSENT, ABSENT)), strict=True)
        part_of = any(path.startswith(f"{whole}.") for whole in lacking)
        derived = path.endswith(".seed") and left.get(_SEED) != right.get(_SEED)
        if ABSENT in exact:
            lacking.append(path)
        if exact[0] != exact[1] and not part_of and not derived:
            where = addresses if path.rpartition(".")[2] in _ADDRESSES else differences
            where.append((path, *(shown if shown[0] != shown[1] else exact)))
    return differences or addresses


def are_repetitions(one: Plan, other: Plan) -> bool:
    """Whether runs of the plans are repetitions of each other: the plans differ only in seeds."""
    return one.decisive(seeds=False) == other.decisive(seeds=False)


def _flat(value: Any, path: str) -> Iterator[tuple[str, tuple[str, str]]]:  # noqa: ANN401  # JSON
    """Yield every leaf: its path, its exact value and the text to show."""
    if isinstance(value, dict):
        for key, part in value.items():
            where = f"{path}.{key}" if path else key
            if key == "impairments":
                yield where, (json.dumps(part, sort_keys=True), codec.decode(part, Impairments).describe())
            else:
                yield from _flat(part, where)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            where = f"{path}.{_name(part, number)}"
            if isinstance(part, dict):
                yield where, (_PRESENT, _describe(part))
            yield from _flat(part, where)
    else:
        text = json.dumps(value)
        yield path, (text, text)


def _describe(item: Mapping[str, Any]) -> str:
    """Return the text to show for an item that the other plan lacks."""
    return (
        codec.decode(item["impairments"], Impairments).describe()
        if "impairments" in item
        else item.get("kind", _PRESENT)
    )


def _name(value: Mapping[str, Any] | object, number: int) -> str:
    """Return the name of an item of a list in paths: what identifies it, else its number."""
    if isinstance(value, dict) and "source" in value and "impairments" in value:
        match = value.get("match") and codec.decode(value["match"], Match)
        return str(LinkKey(value["source"], value["destination"], value["network"], match))
    return str(value["name"]) if isinstance(value, dict) and "name" in value else str(number + 1)
